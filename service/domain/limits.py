"""How much a caller may name at once. The database takes no more than 32,767 values with a statement."""

MOST_NAMED = 1000  # values of one list: event types, applications, messages
MOST_EVENT_TYPES = 5000  # of one document that sets them up
