"""Calls to receivers: one HTTP client for the process, guarded as to where it may connect."""
