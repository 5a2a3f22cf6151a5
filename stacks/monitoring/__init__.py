"""What watches a stage and tells of trouble."""
