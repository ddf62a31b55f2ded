"""Ordered destinations of the kind Kafka."""
