"""The service stack: what changes with every release."""
