"""Jobs, payloads and queues as an operator types and reads them."""
