"""Recurring jobs: where they are kept, who enqueues their ticks, what is asked of them."""
