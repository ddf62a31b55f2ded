"""What limits whoever asks: how things may be named, how large they may be, how many at once, how often.

A pattern is a regular expression of the whole text. How long things are kept is said in `retention`, how long tokens
hold in `tokens`.
"""

import re
from datetime import timedelta

# Names that callers give: uids, event ids, event types with their groups and flags, files of messages.
NAME, LONGEST_NAME = r"^[a-zA-Z0-9\-_.]+$", 256
# Labels of a message.
CHANNEL, TAG, LONGEST_LABEL = r"^[a-zA-Z0-9\-_.:+]+$", r"^[a-zA-Z0-9\-_./\\#]+$", 128
MOST_CHANNELS, MOST_TAGS = 10, 5
LONGEST_URL = 65_536
LONGEST_SESSION = 256

# Bytes.
LARGEST_BODY = 2 * 1024 * 1024  # of a request, and of a line in a file of messages
LARGEST_METADATA = 4096  # as JSON
LARGEST_SCHEMAS = 128 * 1024  # of all versions of an event type, as JSON
LARGEST_FLAGS = 1_500  # in one token, in all: it is sent as a header, and what is too long for one would be refused

# Numbers. The database takes no more than 32,767 values with a statement.
MOST_NAMED = 1000  # values of one list: event types, applications, messages
MOST_EVENT_TYPES = 5000  # of one document that sets them up
MOST_FLAGS = 50  # of one event type
LONGEST_PAGE, USUAL_PAGE = 250, 50  # items of a list that are shown at once
MOST_GRANTED = 100  # capabilities, flags or sessions that a request about tokens names
HIGHEST_RATE = HIGHEST_VERSION = 65_535

SOONEST, LATEST = timedelta(minutes=1), timedelta(hours=24)  # of a delivery, from when its message arrives
CLOCKS_DIFFER = timedelta(minutes=5)  # a caller's and ours
RATE_BURST = timedelta(seconds=0.25)  # what a throttle leaves unused is kept for so long

_name = re.compile(NAME).fullmatch


def is_name(text: str) -> bool:
    """Whether a caller may call something so, or may have."""
    return len(text) <= LONGEST_NAME and _name(text) is not None
