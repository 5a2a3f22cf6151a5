"""Sessions in a stage's containers, and through them to its database."""
