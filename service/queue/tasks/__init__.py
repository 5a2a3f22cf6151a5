"""Tasks: what is registered, how it is found, and how a call of one becomes a job."""
