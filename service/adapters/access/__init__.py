"""Who is let in: tokens of ours and of an issuer."""
