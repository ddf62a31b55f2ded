"""Which of several databases a new organisation is given."""

from collections.abc import Mapping, Sequence


def least_crowded(counts: Mapping[str, int], *, among: Sequence[str]) -> str:
    """The first of those databases, by name, in which the fewest organisations live. `among` is not empty."""
    return min(among, key=lambda name: counts.get(name, 0))
