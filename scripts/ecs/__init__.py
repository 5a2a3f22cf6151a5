"""The model of a stage's ECS services and ECS tasks: reading, waiting, scaling, releases."""
