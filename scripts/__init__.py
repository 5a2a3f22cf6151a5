"""What an operator does. Knows the service by its contract only."""
