"""The fault list: what is done to real worker processes, and what must hold afterwards.

`table.py` is the list itself; `make faults` runs it and writes the table of docs/reliability.md.
"""
