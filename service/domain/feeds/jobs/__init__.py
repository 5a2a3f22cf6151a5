"""The feeds domain's jobs."""
