"""Writes tables into S3 and makes links to them."""
