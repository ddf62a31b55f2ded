"""The repositories of the use cases, one module for each noun, and the unit of work that they share."""
