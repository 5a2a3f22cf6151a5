"""The worker's process: its start and end, its health check, metrics and scale-in protection."""
