"""The collector, Jaeger and Prometheus on one machine, without containers: `make stack`."""
