"""Follows RSS and Atom feeds, and stores each entry once."""
