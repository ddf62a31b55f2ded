"""Which endpoint wants a message, and which one can be sent messages at all.

Repeated in SQL for the fan-out, for lists and for streams: in `queue/intake.sql`, `queue/replays.sql`,
`queue/streams.sql` and `repositories/examples.py`. One table of cases tests all of them.
"""

from collections.abc import Collection

from service.domain.endpoints import NewEndpoint
from service.domain.errors import EndpointDisabled


def wants(endpoint: NewEndpoint, *, event_type: str, channels: Collection[str] | None) -> bool:
    """Whether a new message gets a delivery to the endpoint."""
    return not endpoint.disabled and is_meant(endpoint, event_type=event_type, channels=channels)


def is_meant(endpoint: NewEndpoint, *, event_type: str, channels: Collection[str] | None) -> bool:
    """Whether the message matches the event types and channels of the endpoint, if it has any.

    An endpoint with channels gets no message without channels.
    """
    of_type = endpoint.event_types is None or event_type in endpoint.event_types
    in_channel = endpoint.channels is None or not set(endpoint.channels).isdisjoint(channels or ())
    return of_type and in_channel


def refuse_disabled(endpoint: NewEndpoint) -> None:
    """Raises EndpointDisabled for a disabled endpoint, before something is sent to it."""
    if endpoint.disabled:
        raise EndpointDisabled
