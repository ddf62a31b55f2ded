"""Moves an organisation from one database to another."""
