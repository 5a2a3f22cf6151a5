"""Plays Application Auto Scaling with moto's scaling policies and scheduled actions."""
