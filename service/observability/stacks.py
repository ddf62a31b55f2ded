"""Formats an exception's stack without its text: a driver's error text repeats the values of the statement."""

import traceback

MAX_STACK_CHARACTERS = 16_000


def stack_of(error: BaseException) -> str:
    """The frames of the exception and of its causes, oldest first, each ending in its type. The last 16,000
    characters."""
    return "\n".join(_frames(one) for one in reversed(_chain(error)))[-MAX_STACK_CHARACTERS:]


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return chain


def _frames(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"Traceback (most recent call last):\n{frames}{type(error).__module__}.{type(error).__qualname__}"
