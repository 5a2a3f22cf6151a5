"""What is deployed to AWS. Imports nothing: operator commands read `naming` and `config` alone."""
