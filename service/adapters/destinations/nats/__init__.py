"""Ordered destinations of the kind NATS JetStream."""
