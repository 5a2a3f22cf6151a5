"""The routes of the service's own: jobs, queues, schedules, health."""
