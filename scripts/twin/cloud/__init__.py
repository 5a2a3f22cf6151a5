"""An imitation of AWS that `cdk deploy` can deploy to: moto, and what it lacks for these stacks."""
