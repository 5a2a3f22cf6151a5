"""Notes that are kept in a table."""
