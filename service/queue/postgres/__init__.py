"""The backend `postgresql://`: SAQ's tables, with leases, LISTEN and batched statements."""
