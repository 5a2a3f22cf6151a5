"""A synthesized stage as plain values, without the CDK."""
