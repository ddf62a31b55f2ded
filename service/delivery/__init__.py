"""The delivery engine: claim, attempt, settle, upkeep, drain."""
