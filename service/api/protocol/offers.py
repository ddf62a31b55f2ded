"""Checks the offer of a WebSocket before its connection is handed over. Pure.

The library that then takes the connection over checks the same, but answers in plain text and without a request id.
"""

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidHeader, InvalidUpgrade
from websockets.http11 import Request
from websockets.server import ServerProtocol

from service.api.protocol.refusals import Fields, Refusal

_VERSION = "Sec-WebSocket-Version"
_SPOKEN = ("upgrade: websocket", f"{_VERSION.lower()}: 13")


def refusal_of_offer(fields: Fields, *, followed: bool) -> Refusal | None:
    """Why the offer with these header fields is refused, or None. `followed` by more, it is no offer to wait for."""
    if followed:
        return Refusal(400, "Nothing follows the offer of a WebSocket before it is answered.")
    headers = Headers((name.decode("ascii"), value.decode("latin-1")) for name, value in fields)
    try:
        ServerProtocol().process_request(Request("", headers))
    except InvalidUpgrade:
        return Refusal(426, "The offer of a WebSocket offers nothing else.", _SPOKEN)
    except InvalidHeader as error:
        if error.name == _VERSION and error.value is not None:
            return Refusal(426, "The version of WebSocket that is spoken here is 13.", _SPOKEN)
        # Without the value, which may be a token.
        return Refusal(400, f"The offer of a WebSocket needs one valid header {error.name}.")
    except InvalidHandshake:
        return Refusal(400, "This is not an offer of a WebSocket as RFC 6455 has it.")
    return None
