"""`true` is no number and `1` is no switch, wherever a body has one."""

from collections.abc import Iterator
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


@pytest.mark.parametrize(("kind", "name"), [field[1:] for field in FIELDS], ids=[field[0] for field in FIELDS])
def test_a_number_takes_no_switch_and_a_switch_no_number(kind: type[BaseModel], name: str) -> None:
    field = kind.model_fields[name]
    said = kind.model_json_schema()["properties"][field.alias or name]
    kinds = {one.get("type") for one in (said, *said.get("anyOf", ()))}

    wrong: list[Any] = [True, "1", 1.5] if "integer" in kinds else [1, "true", "on"] if "boolean" in kinds else []
    for value in wrong:
        with pytest.raises(ValidationError) as caught:
            kind.model_validate({field.alias or name: value})
        assert any(fault["loc"][:1] == (field.alias or name,) for fault in caught.value.errors()), value
