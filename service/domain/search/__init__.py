"""Finds content by its words."""
