"""The smallest domain: what a task, a schedule and the hooks look like."""
