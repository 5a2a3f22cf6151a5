"""Alarms, events and the dashboard of a stage."""
