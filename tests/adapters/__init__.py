"""What only the real thing has."""
