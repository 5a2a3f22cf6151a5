"""Plays ECS on this machine: each ECS task is a group of local processes, its state is moto's."""

from scripts.twin.agent.agent import Agent

__all__ = ["Agent"]
