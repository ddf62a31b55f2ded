"""Reads a process's settings, and completes them with generated secrets and PostgreSQL's own `PG*` variables.

Cheap to import, since every command begins with it.
"""

from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext

from service.adapters.machine.data_directory import (
    DataDirectoryError,
    generated_secrets,
    refuse_without_secrets,
    sole_server,
)
from service.environment import unknown
from service.observability import variables
from service.observability.values import authorities
from service.settings import Settings, SettingsError

_READ = ("RELEVO_", "OTEL_", "PG")  # how variables begin that we or libraries of ours read
_AUTHORITIES = "SSL_CERT_FILE"

# Errors of the configuration; each text says what to change.
UNUSABLE = (SettingsError, DataDirectoryError, variables.VariableRefused)


def warnings(environ: MutableMapping[str, str], *, others: set[str]) -> list[str]:
    """A sentence for each variable that has no effect, except those in `others`. Empty `OTEL_*` variables are
    removed."""
    variables.forget_the_empty(environ)
    ours = {name: value for name, value in environ.items() if name not in others}
    return [*unknown(ours, Settings), *variables.unheeded(environ)]


def refuse_unusable_surroundings(environ: Mapping[str, str]) -> None:
    """SettingsError for a variable that no command could work with: one that is no text, and authorities to trust that
    are not there, which libraries look for before anything is called."""
    for name, value in sorted(environ.items()):
        if name.startswith(_READ) and not _is_text(value):
            raise SettingsError(
                f"{name}: it has bytes that are not UTF-8, which nothing here can use; write it as UTF-8"
            )
    trusted = environ.get(_AUTHORITIES)
    if trusted and (fault := authorities(trusted)):
        raise SettingsError(f"{_AUTHORITIES}: {fault}; set it to a file of certificates in PEM, or leave it out")


def configured(environ: MutableMapping[str, str]) -> Settings:
    """The settings, with generated secrets in embedded mode. Raises UNUSABLE."""
    settings = _read(environ)
    if settings.embedded and settings.lacks_secrets:
        made = generated_secrets(settings.storage.data_dir)
        return settings.with_secrets(jwt_secret=made.jwt_secret, secret_key=made.secret_key)
    settings.jwt_secret(), settings.secret_keys()  # a missing one is reported now and not by the first request
    return settings


def configured_for_tokens(environ: MutableMapping[str, str]) -> Settings:
    """The settings, with at least the secret that signs tokens. None is generated, since no server would know it."""
    settings = _read(environ)
    if settings.embedded and settings.access.jwt_secret is None:
        refuse_without_secrets(settings.storage.data_dir)
        return configured(environ)
    settings.jwt_secret()
    return settings


def alone(settings: Settings) -> AbstractContextManager[None]:
    """Hold the data directory's server lock in embedded mode. Raises UNUSABLE when another process holds it."""
    return sole_server(settings.storage.data_dir) if settings.embedded else nullcontext()


def _is_text(value: str) -> bool:
    """Whether it was UTF-8; Python keeps other bytes as halves of characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(environ: MutableMapping[str, str]) -> Settings:
    variables.checked(environ)

    def complete(url: str) -> str:
        from service.adapters.postgres.server.address import completed

        return completed(url, environ)

    return Settings.from_environment(environ).with_addresses(complete)
