"""The queue: tasks and their registry, the engine on Postgres, tracking, and the worker."""
