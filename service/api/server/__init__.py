"""The HTTP server that is bounded in connections, bytes and time."""
