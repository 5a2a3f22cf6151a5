"""A synthesized stage as plain values, read without the CDK."""
