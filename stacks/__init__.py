"""What is deployed to AWS. Imports nothing, so that operator commands can import only `config`."""
