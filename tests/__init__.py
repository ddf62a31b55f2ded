"""The tests, arranged like the floors they are about."""
