"""The local twin: what stands in for AWS on a laptop."""
