"""What a caller wrote and nobody reads: fields and parameters of other names, told in a header of the answer.

They are not refused, since SDKs send what later versions know. A name that is nearly one of ours is likely a slip that
does harm, so it gets a line in the log too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, Self, get_args
from urllib.parse import quote

import structlog
from fastapi import Request, Response
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from starlette.types import Scope

HEADER = "relevo-ignored"
MOST_TOLD = 20
LONGEST_TOLD = 64
_LOOKED_AT = 1000  # items of a list
_LIKENESS = 0.8
_KEPT_AS = "relevo.ignored"
_SAFE = "._-[]"

_plain = re.compile(r"[^a-z0-9]").sub
_log = structlog.stdlib.get_logger("relevo.request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A name that nobody reads, with the path to it, and the name that was likely meant."""

    name: str
    meant: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """The fields that a body may have by the names that it may give them; of models inside, their own."""

    fields: Mapping[str, "Known | None"]
    names: frozenset[str]
    nested: frozenset[str]

    @classmethod
    def of(cls, model: type[BaseModel], *others: str) -> Self:
        """The fields of a model, and others that are read by hand."""
        fields: dict[str, Known | None] = dict.fromkeys(others)
        for name, field in model.model_fields.items():
            inside = next(_models(field.annotation), None)
            fields |= dict.fromkeys(_names(name, field), None if inside is None else Known.of(inside))
        nested = frozenset(name for name, inside in fields.items() if inside is not None)
        return cls(fields, frozenset(fields), nested)

    def knows(self, document: Mapping[str, Any]) -> bool:
        """Whether it is plain, at a glance, that every name is known."""
        return document.keys() <= self.names and self.nested.isdisjoint(document)

    def unknown(self, value: object, at: str = "") -> Iterator[Ignored]:
        """What the value has and nobody reads, at whatever depth."""
        match value:
            case dict():
                for name, inside in value.items():
                    yield from self._unknown(name, inside, at)
            case list():
                for item in islice(value, _LOOKED_AT):
                    yield from self.unknown(item, at)

    def _unknown(self, name: str, value: object, at: str) -> Iterator[Ignored]:
        if name not in self.names:
            yield Ignored(name=at + name, meant=nearest(name, self.names))
        elif (inside := self.fields[name]) is not None:
            yield from inside.unknown(value, f"{at}{name}.")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was likely meant, if there is one: another spelling, or a slip of the hand."""
    start, by_letters = name[:LONGEST_TOLD], {_letters(each): each for each in known}
    close = get_close_matches(_letters(start), by_letters, n=1, cutoff=_LIKENESS)
    return by_letters[close[0]] if close else None


def note(scope: Scope, found: Iterable[Ignored]) -> None:
    """Keep what is to be told of this request: no more than MOST_TOLD names, each once."""
    noted: dict[str, Ignored] = scope.setdefault(_KEPT_AS, {})
    for ignored in islice(found, MOST_TOLD * 10):
        if len(noted) > MOST_TOLD:
            break
        noted.setdefault(_safe(ignored.name), ignored)


def told(response: Response, request: Request) -> Response:
    """The answer, with the names that nobody read."""
    if request.scope.get(_KEPT_AS):
        response.headers.update(headers(request))
    return response


def headers(request: Request) -> dict[str, str]:
    """The header that tells of the names that nobody read, if there are any."""
    noted: dict[str, Ignored] | None = request.scope.get(_KEPT_AS)
    if not noted:
        return {}
    names = list(noted)[:MOST_TOLD]
    meant = {name: noted[name].meant for name in names if noted[name].meant}
    if meant:
        _log.warning("request.ignored", ignored=list(meant), meant=list(meant.values()))
    return {HEADER: ", ".join([*names, *(["..."] if len(noted) > MOST_TOLD else [])])}


def _safe(name: str) -> str:
    return quote(name[:LONGEST_TOLD], safe=_SAFE, errors="replace")[:LONGEST_TOLD] or '""'


def _letters(name: str) -> str:
    return _plain("", name.lower())


def _names(name: str, field: FieldInfo) -> list[str]:
    match field.validation_alias:
        case str(alias):
            return [alias]
        case AliasChoices(choices=choices):
            return [choice for choice in choices if isinstance(choice, str)]
        case _:
            return [field.alias or name]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation, as in `list[Model] | None`. A dictionary's names are the caller's."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif getattr(annotation, "__origin__", None) is not dict:
        for inside in get_args(annotation):
            yield from _models(inside)
