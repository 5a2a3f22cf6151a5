"""The service's own routes: jobs, queues, schedules, health."""
