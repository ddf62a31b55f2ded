"""OTLP: the SDK's queues and exporters, with an encoder of our own before the queue."""
