"""The backend `memory://`: a queue inside one process."""
