"""What a caller may ask for. Speaks to ports only; neither commits nor rolls back."""
