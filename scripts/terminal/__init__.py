"""What an operator types and reads: options, tables and JSON, steps and errors."""
