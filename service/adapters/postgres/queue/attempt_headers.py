"""Headers of attempts as a column holds them: a JSON list of pairs; NULL when there are none."""

import orjson

from service.domain.headers import Pairs


def written(headers: Pairs) -> str | None:
    """What is kept."""
    return orjson.dumps(headers).decode() if headers else None


def read(column: str | None) -> Pairs:
    """What was kept."""
    return () if column is None else tuple((name, value) for name, value in orjson.loads(column))
