"""What who works on Moorage runs: set-up, checks, the image, locks and audits."""
