"""Relevo in a browser: pages for operators and for customers. They call use cases in process and own no rule."""
