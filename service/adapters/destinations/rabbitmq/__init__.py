"""Ordered destinations of the kind RabbitMQ."""
