"""State lives in PostgreSQL, and everything that speaks SQL lives here."""
