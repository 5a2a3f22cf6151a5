"""Sends e-mail by Amazon SES, or keeps it in a local outbox where no sender is configured."""
