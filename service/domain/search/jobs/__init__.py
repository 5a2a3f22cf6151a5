"""The search domain's jobs."""
