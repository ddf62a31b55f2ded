"""Which endpoint wants a message, and which takes one at all.

Said once more in SQL where very many endpoints and messages meet: in `queue/intake.sql`, `queue/replays.sql` and
`repositories/examples.py`. One table of cases runs through all of them.
"""

from collections.abc import Collection

from service.domain.endpoints import NewEndpoint
from service.domain.errors import EndpointDisabled


def wants(endpoint: NewEndpoint, *, event_type: str, channels: Collection[str] | None) -> bool:
    """Whether a message that arrives is owed to the endpoint. One that was deleted is not found to be asked."""
    return not endpoint.disabled and is_meant(endpoint, event_type=event_type, channels=channels)


def is_meant(endpoint: NewEndpoint, *, event_type: str, channels: Collection[str] | None) -> bool:
    """Whether the message is of the event types and channels that the endpoint names, if it names any.

    Who names channels gets no message that has none.
    """
    of_type = endpoint.event_types is None or event_type in endpoint.event_types
    in_channel = endpoint.channels is None or not set(endpoint.channels).isdisjoint(channels or ())
    return of_type and in_channel


def refuse_disabled(endpoint: NewEndpoint) -> None:
    """EndpointDisabled for one that is to be sent something although it is disabled."""
    if endpoint.disabled:
        raise EndpointDisabled
