"""From what became of a batch to its result, for all kinds of ordered destination."""

import time
from datetime import timedelta

from service.domain.batches import Batch, BatchResult
from service.domain.outcomes import ErrorType, Exchange, Failed, RefusedForNow, Taken

MAX_TEXT_BYTES = 2_000


class Told(Exception):
    """A receiver's refusal in words for the tenant, which hold no credentials. Raised within an adapter only."""

    def __init__(self, error_type: ErrorType, text: str, *, taken: int = 0) -> None:
        super().__init__(text)
        self.error_type = error_type
        self.text = text
        self.taken = taken


class NotNow(Exception):
    """The receiver is overloaded or going away: it takes nothing for now. Raised within an adapter only."""

    def __init__(self, text: str, *, taken: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.taken = taken


class Watch:
    """Measures one sending, from when it is made, and makes its result."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def whole(self, batch: Batch) -> BatchResult:
        """All were taken."""
        return BatchResult.whole(batch, Taken(exchange=self._exchange("")))

    def failed(self, error_type: ErrorType, text: str, *, taken: int = 0) -> BatchResult:
        """The message after the first `taken` was refused, or nothing was said about it."""
        return BatchResult(taken=taken, outcome=Failed(exchange=self._exchange(text), error_type=error_type))

    def busy(self, text: str, *, taken: int = 0) -> BatchResult:
        """The receiver wants nothing after the first `taken` for now."""
        return BatchResult(taken=taken, outcome=RefusedForNow(exchange=self._exchange(text)))

    def _exchange(self, text: str) -> Exchange:
        kept = text.replace("\0", "").encode(errors="replace")[:MAX_TEXT_BYTES].decode(errors="ignore")
        return Exchange(duration=timedelta(seconds=time.perf_counter() - self._started), text=kept)
