"""What is configured: stages.toml, checked, and the names that follow. Nothing of the CDK."""
