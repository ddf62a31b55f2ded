"""What is owed: accepted, claimed, settled, throttled, waited for. The hot path's statements live here."""
