"""Plays Elastic Load Balancing: a load balancer for the targets of moto's target groups."""
