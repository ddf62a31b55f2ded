"""Metadata in a form: a row for each pair of name and value, and some empty ones."""

from collections.abc import Mapping, Sequence

from service.console.forms import Form
from service.domain.errors import Invalid

NAME, VALUE = "metadataName", "metadataValue"
NEW_ROWS = 2
MOST_ROWS = 100


def fits(metadata: Mapping[str, str]) -> bool:
    """Whether a form gives it back as it is: not with very many pairs, and not what browsers change in their fields."""
    # Fields of one line lose line ends, those of several have them as on Windows.
    return len(metadata) <= MOST_ROWS and all(
        name == name.strip() and name.isprintable() and "\r" not in value for name, value in metadata.items()
    )


def filled(metadata: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """The fields of a form with it; none where it does not fit."""
    if not fits(metadata):
        return []
    return [field for name, value in metadata.items() for field in ((NAME, name), (VALUE, value))]


def rows(form: Form) -> Sequence[tuple[str, str]]:
    """The pairs that were typed, then empty ones."""
    return [*(pair for pair in _typed(form) if any(pair)), *[("", "")] * NEW_ROWS]


def typed(form: Form) -> dict[str, object]:
    """What the API's body has of it: nothing for a form without its fields. A row that was emptied is left out. Raises
    Invalid for a value without a name, and for a name that is there twice."""
    if not form.has(NAME):
        return {}
    metadata: dict[str, str] = {}
    for name, value in _typed(form):
        if not name and value:
            raise Invalid("Every value needs a name.", field=("metadata",))
        if name in metadata:
            raise Invalid(f"The name {name[:64]!r} is there twice.", field=("metadata",))
        if name:
            metadata[name] = value
    return {"metadata": metadata}


def _typed(form: Form) -> Sequence[tuple[str, str]]:
    pairs = zip(form.all(NAME), form.all(VALUE), strict=False)
    return [(name.strip(), value.replace("\r\n", "\n")) for name, value in pairs]
