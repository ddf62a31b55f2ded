"""Tokens that held are remembered, since each request brings one; but callers write them, so there is a bound."""

from dataclasses import dataclass

from service.application.access import Caller
from service.domain.errors import NotAuthenticated

MOST_TOKENS = 4096
MOST_CHARACTERS = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Who a token speaks for, and when; times are seconds since 1970."""

    caller: Caller
    valid_from: float
    valid_until: float


class RememberedTokens:
    """What was found out about tokens. When there is no room for another, the oldest are forgotten."""

    def __init__(self, *, tokens: int = MOST_TOKENS, characters: int = MOST_CHARACTERS) -> None:
        self._most_tokens = tokens
        self._most_characters = characters
        self._characters = 0
        self._found: dict[str, Verified] = {}

    def find(self, token: str) -> Verified | None:
        """What is known of a token."""
        return self._found.get(token)

    def caller(self, token: str, verified: Verified, *, at: float) -> Caller:
        """Who it speaks for at that time, and remember it as long as it holds. NotAuthenticated when it does not."""
        if not verified.valid_from <= at < verified.valid_until:
            self._forget(token)
            raise NotAuthenticated
        if token not in self._found:
            self._remember(token, verified)
        return verified.caller

    def clear(self) -> None:
        """Forget them all."""
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
