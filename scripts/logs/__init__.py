"""Log events of a stage: reading, ordering and showing them."""
