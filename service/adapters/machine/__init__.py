"""What the machine provides: clock, randomness, encryption at rest, the data directory, an embedded PostgreSQL."""
