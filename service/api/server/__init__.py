"""The HTTP server, with limits on connections, bytes and time."""
