"""What was unsealed stays unsealed for a while: endpoints are few and claims are many."""

from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Opened(Generic[Value]):
    """Calls `unseal` for what is not remembered. Of what was asked for last, at most `most` sealed bytes are."""

    def __init__(self, unseal: Callable[[bytes], Value], *, most: int) -> None:
        self._unseal = unseal
        self._most = most
        self._known: dict[bytes, Value] = {}
        self.size = 0

    def __call__(self, sealed: bytes) -> Value:
        """The value. What `unseal` raises is not remembered."""
        if sealed in self._known:
            value = self._known[sealed] = self._known.pop(sealed)
            return value
        value = self._unseal(sealed)
        self._remember(sealed, value)
        return value

    def _remember(self, sealed: bytes, value: Value) -> None:
        if len(sealed) > self._most:
            return
        self._known[sealed] = value
        self.size += len(sealed)
        while self.size > self._most:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self.size -= len(oldest)
