"""Follows RSS and Atom feeds, and stores each of their entries once."""
