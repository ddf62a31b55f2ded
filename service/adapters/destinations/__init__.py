"""Senders, a package for each kind of destination."""
