"""The backend `memory://`: a queue in this process alone."""
