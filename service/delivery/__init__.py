"""The engine: claim, attempt, settle, upkeep. Concurrency and drain live here and only here."""
