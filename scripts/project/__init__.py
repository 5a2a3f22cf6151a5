"""A project of one's own: made from a release of Moorage, filled with domains, and upgraded."""
