"""Limits for callers: patterns of names, sizes, numbers and rates.

A pattern is a regular expression for the whole text. How long things are kept is in `retention`, how long tokens are
valid in `tokens`.
"""

import re
from datetime import timedelta

# Names that callers choose: uids, event ids, event types with their groups and flags, file ids of imports.
NAME, MAX_NAME_CHARACTERS = r"^[a-zA-Z0-9\-_.]+$", 256
# Labels of a message.
CHANNEL, TAG, MAX_LABEL_CHARACTERS = r"^[a-zA-Z0-9\-_.:+]+$", r"^[a-zA-Z0-9\-_./\\#]+$", 128
MAX_CHANNELS, MAX_TAGS = 10, 5
MAX_URL_CHARACTERS = 65_536
MAX_SESSION_CHARACTERS = 256
# Configurations of ordered destinations: what RabbitMQ, PostgreSQL, S3, Kafka and NATS take, and bounds where they have
# none.
MAX_ADDRESS_CHARACTERS, MAX_SERVERS = 2_048, 16  # of one broker or database, and of one cluster
MAX_CREDENTIAL_CHARACTERS, MAX_CERTIFICATE_CHARACTERS = 4_096, 65_536
MAX_ROUTING_BYTES = 255  # of a routing key, and of an exchange
MAX_TABLE_NAME_BYTES = 63  # of each part of a table's name
BUCKET, REGION = r"^[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]$", r"^[a-zA-Z0-9\-]{1,64}$"
TOPIC, SUBJECT, MAX_SUBJECT_CHARACTERS = r"^[a-zA-Z0-9._\-]{1,249}$", r"^[^\s.*>$]+(\.[^\s.*>]+)*$", 255
MAX_FIELD_CHARACTERS, MAX_FIELD_PARTS = 256, 8  # of the path to a field of the payload, as in `customer.id`

# Bytes.
MAX_BODY_BYTES = 2 * 1024 * 1024  # of a request, and of a line in a file of messages
MAX_METADATA_BYTES = 4096  # as JSON
MAX_SCHEMAS_BYTES = 128 * 1024  # of all versions of an event type, as JSON
MAX_FLAGS_BYTES = 1_500  # of all flags in a token, which has to fit into a header

# Numbers. PostgreSQL accepts at most 32,767 parameters in a statement.
MAX_LISTED_VALUES = 1000  # values of one list: event types, applications, messages
MAX_EVENT_TYPES = 5000  # in one imported document
MAX_FLAGS = 50  # of one event type
MAX_PAGE_ITEMS, DEFAULT_PAGE_ITEMS = 250, 50  # items of a list in one answer
MAX_CONSUMERS = 1000  # of one polling endpoint, each of which keeps its place for good
MAX_GRANTED_VALUES = 100  # capabilities, flags or sessions that a request about tokens names
MAX_RATE = MAX_VERSION = 65_535

MIN_DELIVERY_DELAY, MAX_DELIVERY_DELAY = (
    timedelta(minutes=1),
    timedelta(hours=24),
)  # of `deliverAt`, from when its message arrives
CLOCK_TOLERANCE = timedelta(minutes=5)  # how far a caller's clock may be ahead of ours
RATE_BURST = timedelta(seconds=0.25)  # a throttle that was not used allows a burst of this much of its rate

_name = re.compile(NAME).fullmatch


def is_name(text: str) -> bool:
    """Whether the text is a valid name."""
    return len(text) <= MAX_NAME_CHARACTERS and _name(text) is not None
