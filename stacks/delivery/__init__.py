"""The rights of people and pipelines on a stage."""
