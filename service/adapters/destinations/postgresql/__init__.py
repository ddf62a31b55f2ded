"""Ordered destinations of the kind PostgreSQL: a table of the customer's."""
