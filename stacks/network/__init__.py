"""What lives for years."""
