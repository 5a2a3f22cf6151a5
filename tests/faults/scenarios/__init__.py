"""What is done to processes, network and database; `table.py` says what must hold."""
