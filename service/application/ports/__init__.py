"""What the use cases and the engine need from the world. Adapters fulfil these; nothing here is imported from them."""
