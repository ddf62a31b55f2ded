"""Processes: crash, restart, drain, and the command itself."""
