"""Your code: one package for each domain; `routes.py` and `jobs/` in it are found automatically."""
