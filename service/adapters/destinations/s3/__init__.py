"""Ordered destinations of the kind Amazon S3, and what is compatible with it."""
