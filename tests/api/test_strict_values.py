"""`true` is no number, `1` is no switch and NUL is in no text, wherever a body has one."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from service.api.schemas.rules import Received


def _kinds(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for kind in model.__subclasses__():
        yield kind
        yield from _kinds(kind)


FIELDS: list[tuple[str, Any, str]] = [
    (f"{kind.__module__}.{kind.__name__}.{name}", kind, name)
    for kind in {kind.__qualname__: kind for kind in _kinds(Received)}.values()
    for name in kind.model_fields
]
# Payloads are bytes; the domain parses descriptions of APIs and certificates of sinks; headers to be deleted are only
# looked for.
TAKEN_AS_THEY_ARE = {"raw_payload", "spec_raw", "ssl_root_cert", "delete_headers"}


@pytest.mark.parametrize(("kind", "name"), [field[1:] for field in FIELDS], ids=[field[0] for field in FIELDS])
def test_a_number_takes_no_switch_and_a_switch_no_number(kind: type[BaseModel], name: str) -> None:
    field = kind.model_fields[name]
    said = kind.model_json_schema()["properties"][field.alias or name]
    kinds = {one.get("type") for one in (said, *said.get("anyOf", ()))}

    # The last one, made a whole number, would keep a process busy for hours.
    wrong: list[Any] = (
        [True, "1", 1.5, Decimal("1e999999999")]
        if "integer" in kinds
        else [1, "true", "on"]
        if "boolean" in kinds
        else []
    )
    for value in wrong:
        with pytest.raises(ValidationError) as caught:
            kind.model_validate({field.alias or name: value})
        assert any(fault["loc"][:1] == (field.alias or name,) for fault in caught.value.errors()), value


@pytest.mark.parametrize(("kind", "name"), [field[1:] for field in FIELDS], ids=[field[0] for field in FIELDS])
def test_no_text_has_a_nul(kind: type[BaseModel], name: str) -> None:
    field = kind.model_fields[name]
    said = kind.model_json_schema()["properties"][field.alias or name]
    texts = [
        ["a\0b"] if one.get("type") == "array" else "a\0b"
        for one in (said, *said.get("anyOf", ()))
        if "string" in {one.get("type"), one.get("items", {}).get("type")} and name not in TAKEN_AS_THEY_ARE
    ]

    for text in texts:
        with pytest.raises(ValidationError) as caught:
            kind.model_validate({field.alias or name: text})
        assert any(fault["loc"][:1] == (field.alias or name,) for fault in caught.value.errors())
