"""OTLP over HTTP: the SDK's exporters, with encoders that cost a quarter of theirs."""
