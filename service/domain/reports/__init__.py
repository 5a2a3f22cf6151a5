"""Writes tables into S3 and gives links to them."""
