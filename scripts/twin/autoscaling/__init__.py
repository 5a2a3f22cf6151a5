"""Plays Application Auto Scaling on moto's policies and scheduled actions."""
