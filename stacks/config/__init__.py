"""The configuration of a stage: stages.toml, its checks, and names. Without the CDK."""
