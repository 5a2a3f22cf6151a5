"""Plays CloudWatch: metrics from log lines, metric math, alarms and their actions."""
