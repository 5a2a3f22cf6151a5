"""What moto's CloudFormation lacks or does differently from AWS, for these stacks."""
