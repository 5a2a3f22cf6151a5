"""What changes with every release."""
