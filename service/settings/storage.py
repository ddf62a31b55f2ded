"""Where state is stored, and how long the audit trail is kept."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from service.environment import Variable
from service.settings.values import Group, refuse_unusable_address


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
