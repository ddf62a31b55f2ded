"""A cache of verified tokens, since every request carries one. Bounded, since callers choose how many they send."""

from dataclasses import dataclass

from service.application.access import Caller
from service.domain.errors import NotAuthenticated

CACHED_TOKENS = 4096
CACHED_CHARACTERS = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Whom a token authenticates, and when it is valid. Times are seconds since 1970."""

    caller: Caller
    valid_from: float
    valid_until: float


class RememberedTokens:
    """The cache, bounded by the number of tokens and by their characters together. The oldest entries are evicted."""

    def __init__(self, *, tokens: int = CACHED_TOKENS, characters: int = CACHED_CHARACTERS) -> None:
        self._most_tokens = tokens
        self._most_characters = characters
        self._characters = 0
        self._found: dict[str, Verified] = {}

    def find(self, token: str) -> Verified | None:
        """The cached result for a token, None if there is none."""
        return self._found.get(token)

    def caller(self, token: str, verified: Verified, *, at: float) -> Caller:
        """The caller, and cache the result. NotAuthenticated, and the entry is dropped, when `at` is outside its
        validity."""
        if not verified.valid_from <= at < verified.valid_until:
            self._forget(token)
            raise NotAuthenticated
        if token not in self._found:
            self._remember(token, verified)
        return verified.caller

    def clear(self) -> None:
        """Drop all entries."""
        self._found.clear()
        self._characters = 0

    def _remember(self, token: str, verified: Verified) -> None:
        self._found[token] = verified
        self._characters += len(token)
        while len(self._found) > self._most_tokens or self._characters > self._most_characters:
            self._forget(next(iter(self._found)))

    def _forget(self, token: str) -> None:
        if self._found.pop(token, None) is not None:
            self._characters -= len(token)
