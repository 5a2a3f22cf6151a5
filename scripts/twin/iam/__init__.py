"""Plays IAM and STS: who calls, whether the signature is right, how a refusal sounds."""
