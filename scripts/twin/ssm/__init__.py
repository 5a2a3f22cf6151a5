"""Plays Session Manager: commands in running containers, with a terminal of their own."""
