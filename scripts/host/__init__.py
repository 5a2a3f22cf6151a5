"""What the twin and `make api` need of this machine: Postgres, processes, locks, ports."""
