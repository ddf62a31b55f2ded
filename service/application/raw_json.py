"""Cutting the members of a JSON object out of a document, each byte for byte as it was written.

By msgspec, which reads what it skips as strictly as what it parses, and makes no objects of it.
"""

import sys
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

# A document of that size may have a hundred thousand names: only those that are asked for are kept.
LARGE_BYTES = 64 * 1024
# Levels of recursion: a document may be nested so deep, less our own stack. By default a thousand are left, or fewer.
_ROOM = 2048

_every = msgspec.json.Decoder(dict[str, msgspec.Raw])
_none = msgspec.json.Decoder(msgspec.defstruct("Nothing", []))


class Members:
    """Cuts out the members with these names, however many others there are."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = {f"_{number}": name for number, name in enumerate(names)}
        fields = [(field, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for field in self._names]
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("Members", fields, rename=self._names))

    def of(self, document: bytes) -> dict[str, bytes]:
        """Those of the names that the document has, and all others too when it is small. ValueError, as `members`."""
        if len(document) <= LARGE_BYTES:
            return members(document)
        found = _decoded(self._decoder, document)
        return _written({name: getattr(found, field) for field, name in self._names.items()})


def members(document: bytes) -> dict[str, bytes]:
    """The values of an object by name, each as it was written; of a repeated name, the last, as parsers do.

    ValueError, saying why, for what is not UTF-8, nested too deep, or not the JSON of an object.
    """
    return _written(_decoded(_every, document))


def is_object(document: bytes) -> bool:
    """Whether the document is the JSON of an object."""
    try:
        _decoded(_none, document)
    except ValueError:
        return False
    return True


def _decoded(decoder: "msgspec.json.Decoder[Any]", document: bytes) -> Any:
    if not document.isascii():
        document.decode()  # since text that is skipped is not decoded
    try:
        return decoder.decode(document)
    except RecursionError:
        return _decoded_deep(decoder, document)


def _decoded_deep(decoder: "msgspec.json.Decoder[Any]", document: bytes) -> Any:
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _ROOM))
    try:
        return decoder.decode(document)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _written(found: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in found.items() if raw is not msgspec.UNSET}
