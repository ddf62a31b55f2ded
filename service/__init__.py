"""Relevo delivers webhooks; README.md beside this file says how it is built."""
