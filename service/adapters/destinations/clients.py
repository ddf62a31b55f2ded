"""The clients of brokers, which are extras of Relevo: whether this installation has them."""

from collections.abc import Mapping
from importlib.util import find_spec

from service.domain.sinks import SinkKind

# Kind, the package that it needs, and the extra that brings it.
NEEDED: Mapping[SinkKind, tuple[str, str]] = {
    SinkKind.KAFKA: ("aiokafka", "kafka"),
    SinkKind.NATS: ("nats", "nats"),
    SinkKind.RABBITMQ: ("aiormq", "rabbitmq"),
}


def why_unavailable(kind: SinkKind, *, needed: Mapping[SinkKind, tuple[str, str]] = NEEDED) -> str | None:
    """A sentence for who wants a destination of this kind, where its client is not installed; None where it is."""
    package, extra = needed.get(kind, ("", ""))
    if not package or find_spec(package) is not None:
        return None
    return f"This server has no client for {kind}: whoever runs it has to install relevo[{extra}]."
