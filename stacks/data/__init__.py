"""What outlives a release."""
