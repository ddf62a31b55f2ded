"""Values and decisions. Nothing here awaits, reads a clock, uses randomness or imports a library."""
