"""What is kept of each noun, for the use cases: one module each, and the unit of work that they share."""
