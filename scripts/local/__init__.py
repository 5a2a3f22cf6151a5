"""One part of the service on this machine, without AWS: `make db`, `make api`, `make worker`."""
