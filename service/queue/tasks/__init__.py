"""Tasks: how they are registered and found, and how a job of one is made."""
