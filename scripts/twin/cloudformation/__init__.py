"""What moto's CloudFormation lacks, or does otherwise than AWS, for these stacks."""
