"""Reads environment variables into nested groups of settings, and explains bad values.

Each field of a group carries its `Variable`, so errors, the manual's table and the program use the same names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

PREFIX = "RELEVO_"


@dataclass(frozen=True, slots=True)
class Variable:
    """A setting as operators see it. `shown` replaces a default that cannot be printed as it is."""

    name: str
    meaning: str
    example: str
    shown: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A row of the table of settings."""

    variable: str
    default: str
    meaning: str


class FlatEnvironment(PydanticBaseSettingsSource):
    """Reads the values of all groups from an environment. An empty variable counts as not set."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._environ = environ

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The values of one group that are set."""
        fields = _group(field).model_fields.items()
        values = {name: self._environ.get(_variable(setting).name, "").strip() for name, setting in fields}
        return {name: value for name, value in values.items() if value}, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values of all groups."""
        groups = self.settings_cls.model_fields.items()
        return {name: self.get_field_value(field, name)[0] for name, field in groups}


def explain(error: ValidationError, settings: type[BaseSettings]) -> list[str]:
    """A line for each bad variable: its name, the fault, an example. Never its value, which may be secret."""
    return list(dict.fromkeys(_explain(tuple(fault["loc"]), fault["msg"], settings) for fault in error.errors()))


def describe(settings: type[BaseSettings]) -> list[Description]:
    """Each variable with its default and its meaning."""
    return [
        Description(variable=variable.name, default=_default(variable, field), meaning=variable.meaning)
        for variable, field in _fields(settings)
    ]


def unknown(environ: Mapping[str, str], settings: type[BaseSettings]) -> list[str]:
    """A sentence for each `RELEVO_*` variable that is no setting, with the closest name if there is one."""
    known = [variable.name.removeprefix(PREFIX) for variable, _ in _fields(settings)]
    ours = sorted(name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX))
    return [_unknown_text(name, get_close_matches(name, known, n=1)) for name in ours if name not in known]


def _fields(settings: type[BaseSettings]) -> Iterator[tuple[Variable, FieldInfo]]:
    for group in settings.model_fields.values():
        for field in _group(group).model_fields.values():
            yield _variable(field), field


def _group(field: FieldInfo) -> type[BaseModel]:
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return field.annotation
    raise TypeError("a settings class contains only groups of settings")


def _variable(field: FieldInfo) -> Variable:
    return next(note for note in field.metadata if isinstance(note, Variable))


def _default(variable: Variable, field: FieldInfo) -> str:
    if variable.shown is not None:
        return variable.shown
    if field.default is None:
        return "none"
    text = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)
    return f"`{text.lower()}`"


def _explain(loc: tuple[str | int, ...], message: str, settings: type[BaseSettings]) -> str:
    group, name, *inner = loc
    variable = _variable(_group(settings.model_fields[str(group)]).model_fields[str(name)])
    where = f", item {inner[0] + 1}" if inner and isinstance(inner[0], int) else ""
    fault = message.removeprefix("Value error, ").rstrip(".")
    return f"{variable.name}{where}: {fault[:1].lower()}{fault[1:]}. Example: {variable.example}"


def _unknown_text(name: str, near: list[str]) -> str:
    meant = f" Did you mean {PREFIX}{near[0]}?" if near else ""
    return f"{PREFIX}{name} is not a setting of Relevo and changes nothing.{meant}"
