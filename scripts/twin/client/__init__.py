"""What commands need of the twin: its address, its start and end, and the CDK for it."""
