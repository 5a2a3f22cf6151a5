"""For people who work on Moorage: set-up, checks, the image, locks and audits."""
