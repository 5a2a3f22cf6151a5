"""The project's own secrets, of a deployed stage and of the local one."""
