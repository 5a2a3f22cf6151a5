"""The ASGI layers around the routes: authentication, limits, headers and errors."""
