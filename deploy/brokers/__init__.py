"""NATS, Kafka, RabbitMQ and an S3-compatible server on one machine, without containers: `make brokers`."""
