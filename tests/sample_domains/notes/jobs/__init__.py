"""The notes domain's jobs."""
