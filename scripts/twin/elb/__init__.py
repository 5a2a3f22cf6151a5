"""Plays Elastic Load Balancing: a balancer before the targets of moto's target groups."""
