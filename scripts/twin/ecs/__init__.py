"""Plays ECS: an ECS task is a group of processes on this machine, and its state is in moto."""
