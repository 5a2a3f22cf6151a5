"""The smallest domain: two tasks, a schedule and their routes."""
