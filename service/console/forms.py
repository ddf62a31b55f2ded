"""The fields of a form, as browsers send them (application/x-www-form-urlencoded)."""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from service.domain.errors import Invalid

MAX_FIELDS = 1_000
_TYPE = "application/x-www-form-urlencoded"


class Form:
    """Fields by name; a name may occur several times."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._pairs = pairs

    def get(self, name: str, default: str = "") -> str:
        """The field's last value, without blanks around it."""
        return next((value.strip() for key, value in reversed(self._pairs) if key == name), default)

    def text(self, name: str) -> str:
        """The field's value as it was typed, with line ends as on Unix."""
        return next((value for key, value in self._pairs if key == name), "").replace("\r\n", "\n")

    def all(self, name: str) -> list[str]:
        """All its values."""
        return [value for key, value in self._pairs if key == name]

    def words(self, name: str) -> tuple[str, ...] | None:
        """Its words, separated by commas, blanks or line ends; None when there is none."""
        found = dict.fromkeys(self.text(name).replace(",", " ").split())
        return tuple(found) or None

    def number(self, name: str) -> int | None:
        """A whole number; None when the field is empty. Raises Invalid."""
        text = self.get(name)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Invalid("This is a whole number.", field=(name,))
        return int(text)

    def has(self, name: str) -> bool:
        """Whether the field was sent, as a ticked box is."""
        return any(key == name for key, _ in self._pairs)


async def form(request: Request) -> Form:
    """The request's form; without fields for a request that has none. Raises Invalid."""
    if request.method in {"GET", "HEAD"}:
        return Form()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise Invalid(f"A form is sent as {_TYPE}.", field=())
    try:
        text = (await request.body()).decode("ascii")
        return Form(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Invalid(f"This is no form of at most {MAX_FIELDS} fields.", field=()) from None


FormDep = Annotated[Form, Depends(form)]
