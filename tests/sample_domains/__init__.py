"""What `service/domain/` is to a project, for tests that are the kit's: `notes` alone."""
