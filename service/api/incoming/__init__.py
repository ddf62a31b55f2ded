"""Parsing of incoming messages: one in a request body, or many in a file."""
