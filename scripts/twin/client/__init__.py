"""What commands ask of the twin: where it is, its start and its end, the CDK pointed at it."""
