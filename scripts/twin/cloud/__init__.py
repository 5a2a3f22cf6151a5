"""AWS's APIs for `cdk deploy`: moto, with what it lacks for these stacks."""
