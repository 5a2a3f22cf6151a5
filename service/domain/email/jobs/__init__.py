"""The email domain's jobs."""
