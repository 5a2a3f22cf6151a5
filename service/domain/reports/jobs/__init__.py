"""The reports domain's jobs."""
