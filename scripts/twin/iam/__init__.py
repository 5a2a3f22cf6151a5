"""Plays IAM and STS: access keys, signatures and refusals."""
