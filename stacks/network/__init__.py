"""The network stack: VPC and encryption key, which live for years."""
