"""Cuts the members of a JSON object out of a document, each byte for byte as it was written.

It uses msgspec, which checks skipped text as strictly as parsed text and makes no objects of it.
"""

import sys
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

# A larger document may have a hundred thousand names, so only the requested members are kept of it.
MAX_WHOLE_BYTES = 64 * 1024
# For deeply nested documents: Python's default limit of 1,000 levels includes our own stack.
_RECURSION_LIMIT = 2048

_every = msgspec.json.Decoder(dict[str, msgspec.Raw])
_none = msgspec.json.Decoder(msgspec.defstruct("Nothing", []))


class Members:
    """Cuts out the members with these names."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = {f"_{number}": name for number, name in enumerate(names)}
        fields = [(field, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for field in self._names]
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("Members", fields, rename=self._names))

    def of(self, document: bytes) -> dict[str, bytes]:
        """The members with these names, and all others if the document is small. ValueError as in `members`."""
        if len(document) <= MAX_WHOLE_BYTES:
            return members(document)
        found = _decoded(self._decoder, document)
        return _written({name: getattr(found, field) for field, name in self._names.items()})


def members(document: bytes) -> dict[str, bytes]:
    """The members of an object by name, each as it was written; of a repeated name the last one, as parsers do.

    ValueError, with the reason, if the document is not UTF-8, is nested too deep, or is not a JSON object.
    """
    return _written(_decoded(_every, document))


def is_object(document: bytes) -> bool:
    """Whether the document is a JSON object."""
    try:
        _decoded(_none, document)
    except ValueError:
        return False
    return True


def _decoded(decoder: "msgspec.json.Decoder[Any]", document: bytes) -> Any:
    if not document.isascii():
        document.decode()  # msgspec does not check the UTF-8 of skipped text
    try:
        return decoder.decode(document)
    except RecursionError:
        return _decoded_deep(decoder, document)


def _decoded_deep(decoder: "msgspec.json.Decoder[Any]", document: bytes) -> Any:
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))
    try:
        return decoder.decode(document)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _written(found: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in found.items() if raw is not msgspec.UNSET}
