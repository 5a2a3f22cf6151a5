"""Plays ECS on this machine: each ECS task is a group of local processes, its state is moto's."""
