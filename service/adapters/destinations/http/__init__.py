"""Calls receivers over HTTP: one client per process, which connects only to permitted addresses."""
