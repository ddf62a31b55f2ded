"""Where state is stored, and how long the audit trail is kept."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from service.environment import Variable
from service.settings.values import Group, json_object, refuse_unusable_address, refuse_what_is_no_name, split

_NAMED_ADDRESSES = '{"eu-1": "postgresql://relevo:password@db1.example.com/relevo"}'


class NamedDatabase(BaseModel):
    """One of several databases. `direct_url` is its address past a pooler."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    url: SecretStr
    direct_url: SecretStr | None = None

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        refuse_what_is_no_name(value)
        return value

    @field_validator("url", "direct_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            refuse_unusable_address(value.get_secret_value())
        return value


def _named(value: object) -> object:
    """A database for each name of a JSON object, whose values are an address or an object with `url`."""
    read = json_object(value)
    if not isinstance(read, dict):
        return read
    if not read:
        raise ValueError("it names no database")
    return [(said if isinstance(said, dict) else {"url": said}) | {"name": name} for name, said in read.items()]


class Storage(Group):
    """Where state is stored, and how long the audit trail is kept."""

    data_dir: Annotated[
        Path,
        Variable(
            "RELEVO_DATA_DIR",
            "Directory of the embedded PostgreSQL and of generated secrets.",
            example="/var/lib/relevo",
        ),
    ] = Path(".relevo")
    audit_days: Annotated[
        int,
        Field(ge=1, le=36_500),
        Variable("RELEVO_AUDIT_DAYS", "Days that the audit trail is kept for.", example="365"),
    ] = 365
    database_url: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_DATABASE_URL",
            "Your own PostgreSQL instead of the embedded one.",
            example="postgresql://relevo:password@db.example.com/relevo",
            shown="embedded",
        ),
    ] = None

    database_direct_url: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_DATABASE_DIRECT_URL",
            "The same PostgreSQL past the pooler, where `RELEVO_DATABASE_URL` is a PgBouncer in transaction mode.",
            example="postgresql://relevo:password@db.example.com/relevo",
            shown="none",
        ),
    ] = None

    databases: Annotated[
        tuple[NamedDatabase, ...],
        BeforeValidator(_named),
        Variable(
            "RELEVO_DATABASES",
            "Several PostgreSQL instead of one, as a JSON object of names and addresses; the first is *home*. "
            'Past a pooler an address is `{"url": ..., "direct_url": ...}`.',
            example=_NAMED_ADDRESSES,
            shown="none",
        ),
    ] = ()
    serves: Annotated[
        tuple[str, ...],
        BeforeValidator(split),
        Variable(
            "RELEVO_SERVES",
            "Names of the databases of `RELEVO_DATABASES` whose tenants this process serves, between commas.",
            example="eu-1,eu-2",
            shown="all",
        ),
    ] = ()

    @field_validator("data_dir")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        try:
            return value.expanduser()
        except RuntimeError:
            raise ValueError("there is no user of that name, so `~` has no directory; write the whole path") from None

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            refuse_unusable_address(value.get_secret_value())
        return value

    @field_validator("database_direct_url")
    @classmethod
    def _needs_database_url(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("database_url", value) is None:
            raise ValueError("it needs the pooler's address in RELEVO_DATABASE_URL, which has to be set")
        return value

    @field_validator("databases")
    @classmethod
    def _stand_alone(cls, value: tuple[NamedDatabase, ...], info: ValidationInfo) -> tuple[NamedDatabase, ...]:
        if value and (info.data.get("database_url") or info.data.get("database_direct_url")):
            raise ValueError("it is set instead of RELEVO_DATABASE_URL and RELEVO_DATABASE_DIRECT_URL, not beside them")
        if len({database.url.get_secret_value() for database in value}) < len(value):
            raise ValueError("two names have the same address")
        return value

    @field_validator("serves")
    @classmethod
    def _are_named(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        known = [database.name for database in info.data.get("databases", ())]
        if "databases" in info.data and any(name not in known for name in value):
            raise ValueError("each has to be a name of RELEVO_DATABASES")
        return value
