"""JSON without loss: integers of up to 1,000 digits, decimals with every digit, names in their order.

Doubles would change values: 19.99 would become 19.989999999999998, and integers of 30 digits would be rounded.
"""

import sys
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

MAX_DIGITS = 1_000

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder(decimal_format="number")


def limit_integers() -> None:
    """Limit integers to `MAX_DIGITS` in this process: they are read and written in squared time. With Python's own
    limit, 4,300, a body of such numbers took 0.2 s."""
    sys.set_int_max_str_digits(MAX_DIGITS)


def read(document: bytes | str) -> Any:
    """The value of a JSON document; decimals are `Decimal`. ValueError with the reason."""
    try:
        return _decoder.decode(document)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except InvalidOperation:
        raise ValueError("a number has an exponent of more than 18 digits") from None
    except msgspec.ValidationError:  # without a type to decode to, nothing else is not valid
        raise ValueError(f"an integer has more than {sys.get_int_max_str_digits():,} digits") from None


def members(document: bytes | str) -> dict[str, bytes]:
    """The members of an object, each as it was written. Raises ValueError."""
    try:
        return {name: bytes(raw) for name, raw in _members.decode(document).items()}
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def written(value: Any) -> bytes:
    """The value as JSON. ValueError when it is nested too deep."""
    try:
        return _encoder.encode(value)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
