"""Sending e-mail: by Amazon SES where a sender is configured, into a local outbox where not."""
