"""The backend `postgresql://`: SAQ's tables, leases, LISTEN, batched statements."""
