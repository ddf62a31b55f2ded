"""The settings. The environment is read only when `from_environment` is called."""

from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.environment import Description, FlatEnvironment, describe, explain
from service.settings.access import Access, Oidc
from service.settings.delivery import Delivery, EndpointRules
from service.settings.observability import Observability
from service.settings.server import Server
from service.settings.storage import NamedDatabase, Storage


class SettingsError(Exception):
    """The environment does not make a configuration; the text names each variable, its fault and a value that works."""


class Settings(BaseSettings):
    """All settings. `Settings()` are the defaults; only `from_environment` looks at variables."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    server: Server = Server()
    storage: Storage = Storage()
    access: Access = Access()
    oidc: Oidc = Oidc()
    delivery: Delivery = Delivery()
    endpoints: EndpointRules = EndpointRules()
    observability: Observability = Observability()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic passes it by this name
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take constructor arguments only; `from_environment` passes the variables as arguments."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`, where an empty variable counts as not set. SettingsError for a bad value."""
        try:
            return cls(**FlatEnvironment(cls, environ)())
        except ValidationError as error:
            raise SettingsError("\n".join(explain(error, cls))) from None

    @property
    def embedded(self) -> bool:
        """Whether Relevo brings its own PostgreSQL."""
        return self.storage.database_url is None and not self.storage.databases

    @property
    def several(self) -> bool:
        """Whether tenants live in several databases, so that one has to be chosen."""
        return len(self.storage.databases) > 1

    @property
    def lacks_secrets(self) -> bool:
        """Whether a secret is not set, so that a generated one is needed."""
        return self.access.jwt_secret is None or not (self.access.secret_key or self.access.secret_keys)

    def with_secrets(self, *, jwt_secret: str, secret_key: str) -> Self:
        """These settings with the given secrets where none were set."""
        generated = {}
        if self.access.jwt_secret is None:
            generated["jwt_secret"] = SecretStr(jwt_secret)
        if not (self.access.secret_key or self.access.secret_keys):
            generated["secret_key"] = SecretStr(secret_key)
        return self.model_copy(update={"access": self.access.model_copy(update=generated)})

    def with_addresses(self, complete: Callable[[str], str]) -> Self:
        """These settings with all database URLs completed by `complete`. Its ValueError becomes a SettingsError."""
        given = {"database_url": self.storage.database_url, "database_direct_url": self.storage.database_direct_url}
        made: dict[str, object] = {
            name: _completed(url, f"RELEVO_{name.upper()}", complete) for name, url in given.items() if url is not None
        }
        made["databases"] = tuple(_whole(database, complete) for database in self.storage.databases)
        return self.model_copy(update={"storage": self.storage.model_copy(update=made)})

    def jwt_secret(self) -> str:
        """The secret that signs API tokens. SettingsError when there is none."""
        return _required(self.access.jwt_secret, "RELEVO_JWT_SECRET").get_secret_value()

    def secret_keys(self) -> tuple[str, ...]:
        """The keys that encrypt stored secrets, newest first. SettingsError when there is none."""
        listed = self.access.secret_keys or (_required(self.access.secret_key, "RELEVO_SECRET_KEY"),)
        return tuple(key.get_secret_value().strip() for key in listed)

    @classmethod
    def describe(cls) -> list[Description]:
        """Each variable with its default and its meaning, in the order of the groups."""
        return describe(cls)


def configuration_table() -> str:
    """The manual's table of variables, in Markdown."""
    rows = [f"| `{row.variable}` | {row.default} | {row.meaning} |" for row in Settings.describe()]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _whole(database: NamedDatabase, complete: Callable[[str], str]) -> NamedDatabase:
    where = f"RELEVO_DATABASES, {database.name}"
    direct = database.direct_url
    made = {"url": _completed(database.url, where, complete)}
    if direct is not None:
        made["direct_url"] = _completed(direct, where, complete)
    return database.model_copy(update=made)


def _completed(url: SecretStr, where: str, complete: Callable[[str], str]) -> SecretStr:
    try:
        return SecretStr(complete(url.get_secret_value()))
    except ValueError as error:
        raise SettingsError(f"{where}: {error}.") from None


def _required(secret: SecretStr | None, variable: str) -> SecretStr:
    if secret is None:
        raise SettingsError(
            f"{variable} is not set, and one is generated only with the embedded database. "
            f"Set it to the output of `openssl rand -hex 32`, the same for every process."
        )
    return secret
