"""Plays Session Manager: commands in running containers, with or without a terminal."""
