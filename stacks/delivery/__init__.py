"""What people and pipelines may do to a stage."""
