"""The composition root: opens what a role needs, passes it in, closes it in reverse. Nothing else opens anything."""
