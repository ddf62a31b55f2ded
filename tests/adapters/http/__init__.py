"""Calls to receivers, over real sockets."""
