"""Decisions: tables of cases, no event loop."""
