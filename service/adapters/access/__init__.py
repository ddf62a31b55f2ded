"""Authentication: our own tokens, and those of an OpenID Connect issuer."""
