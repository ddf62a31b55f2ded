"""How much a caller may name at once. The database takes no more than 32,767 values with a statement."""

from datetime import timedelta

MOST_NAMED = 1000  # values of one list: event types, applications, messages
MOST_EVENT_TYPES = 5000  # of one document that sets them up
RATE_BURST = timedelta(seconds=0.25)  # what a throttle leaves unused is kept for so long
