"""The local twin, which plays AWS on this machine."""
