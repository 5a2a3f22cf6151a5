"""Plays CloudWatch: metrics out of log lines, metric math, alarms and what they do."""
