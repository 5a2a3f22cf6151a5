"""The service: API, worker and migrations, the processes of the one image."""
