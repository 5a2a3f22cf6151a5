"""Full-text search over the content of other domains."""
