"""OTLP: our own encoder, then the SDK's queues and exporters."""
