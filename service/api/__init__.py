"""The HTTP API, made with Litestar."""
