"""What an operator types and reads: options, tables, JSON, steps and errors."""
