"""Why a broker is lost, as a sentence for those who named it: without credentials."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.adapters.destinations.conversation import conversation
from service.adapters.destinations.network import POSSIBLE, explain
from service.adapters.destinations.results import Told
from service.application.ports.sources import BrokerLost

REASON_CHARACTERS = 200


@contextmanager
def lost_by(*errors: type[Exception]) -> Iterator[None]:
    """Turn these errors of a client, and those of the network, into BrokerLost. Clients' own sentences name streams,
    topics and queues, never passwords."""
    try:
        yield
    except Told as told:
        raise BrokerLost(told.text) from told
    except errors as error:
        raise BrokerLost(_words(error)) from error
    except POSSIBLE as error:
        failure = explain(error)
        if failure is None:
            raise
        raise BrokerLost(failure[1]) from error


@contextmanager
def asking(*errors: type[Exception]) -> Iterator[None]:
    """As `lost_by`, around what a broker is only asked: what its client cannot read of the answer loses it too."""
    with lost_by(*errors), conversation(*errors):
        yield


def _words(error: Exception) -> str:
    text = str(getattr(error, "description", None) or error).removeprefix("nats: ")
    return (text or type(error).__name__)[:REASON_CHARACTERS]
