"""Runs a process of the service from the checkout, and a new one whenever the code is saved."""
