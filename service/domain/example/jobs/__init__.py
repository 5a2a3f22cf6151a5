"""The example domain's jobs."""
