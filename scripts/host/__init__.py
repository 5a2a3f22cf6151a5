"""What the twin and `make api` need from this machine: Postgres, processes, locks, ports."""
