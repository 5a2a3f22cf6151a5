"""Log events of a stage: read, put in order, written as lines."""
