"""Messages on their way in by HTTP: one in a body, or many in a file."""
