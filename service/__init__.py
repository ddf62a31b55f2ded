"""Relevo delivers webhooks; DESIGN lives in the README."""
