"""Schedules: where they are stored, who enqueues their ticks, and the requests to change them."""
