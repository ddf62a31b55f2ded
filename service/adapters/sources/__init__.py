"""Brokers that messages come in from: how each kind is read."""
