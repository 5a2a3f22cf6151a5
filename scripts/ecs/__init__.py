"""The ECS services of a stage: how they are, waiting for them, scaling them, their releases."""
