"""Values and decisions of Relevo: no await, no clock, no randomness, no third-party import."""
