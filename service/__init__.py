"""Relevo delivers webhooks. README.md in this directory explains how it is built."""
