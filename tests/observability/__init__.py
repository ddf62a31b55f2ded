"""What is emitted, as a collector, Prometheus and a reader of lines see it."""
