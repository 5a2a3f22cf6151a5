"""What a process does beside its work: the worker's life, its health check, its metrics."""
