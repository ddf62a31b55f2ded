"""The protocols (ports) that use cases and the engine need. Adapters fulfil them."""
