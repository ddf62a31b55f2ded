"""Files in the data directory: the secrets that embedded mode generates, and the lock of its one server."""

import errno
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_SECRET_BYTES = 48
_MIN_SECRET_CHARACTERS = 32  # as for the variables that replace it


class DataDirectoryError(Exception):
    """The data directory cannot be used as it is; the text says what to do."""


class DataDirectoryUnusable(DataDirectoryError):
    """The operating system refused an operation in the data directory."""

    def __init__(self, data_dir: Path, error: OSError) -> None:
        in_its_place = error.errno in {errno.EEXIST, errno.ENOTDIR}
        why = "A file is in its place" if in_its_place else os.strerror(error.errno or 0)
        super().__init__(
            f"{data_dir} cannot be the data directory: {why}. Set RELEVO_DATA_DIR to a "
            "directory that this user may write to, or RELEVO_DATABASE_URL to a PostgreSQL of your own."
        )


class AlreadyServed(DataDirectoryError):
    """Another server holds the directory's lock."""

    def __init__(self, data_dir: Path, pid: str) -> None:
        super().__init__(
            f"{data_dir} is served by process {pid or 'unknown'} already. Stop that one, add a `relevo worker` to it, "
            "or set RELEVO_DATA_DIR to another directory."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedSecrets:
    """Used where RELEVO_JWT_SECRET and RELEVO_SECRET_KEY are not set."""

    jwt_secret: str = field(repr=False)
    secret_key: str = field(repr=False)


def generated_secrets(data_dir: Path) -> GeneratedSecrets:
    """The secrets of this directory, made on first use; every process gets the same. Raises DataDirectoryError."""
    path = data_dir / "secrets.json"
    with usable(data_dir):
        if not path.exists():
            _refuse_if_lost(data_dir)
            _create(path)
        written = path.read_bytes()
    try:
        return _read(written)
    except (ValueError, TypeError, RecursionError):
        raise DataDirectoryError(f"{path} is damaged. Restore it; its secrets cannot be made again.") from None


def refuse_without_secrets(data_dir: Path) -> None:
    """DataDirectoryError if the directory has no secrets: a token signed with new ones would be accepted by no
    server."""
    with usable(data_dir):
        if (data_dir / "secrets.json").exists():
            return
        _refuse_if_lost(data_dir)
        raise DataDirectoryError(
            f"No server has kept its secrets in {data_dir.absolute()}, so no server would know a token from here. Run "
            "this where the server runs, or set RELEVO_DATA_DIR to its directory, or RELEVO_JWT_SECRET to its secret."
        )


@contextmanager
def sole_server(data_dir: Path) -> Iterator[None]:
    """Hold the directory's server lock while the block lasts. AlreadyServed if another process holds it."""
    with usable(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(data_dir / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with usable(data_dir):
            _claim(lock, data_dir)
        yield
    finally:
        os.close(lock)


@contextmanager
def usable(data_dir: Path) -> Iterator[None]:
    """Turn an OSError in the block into DataDirectoryUnusable."""
    try:
        yield
    except OSError as error:
        raise DataDirectoryUnusable(data_dir, error) from None


def _claim(lock: int, data_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyServed(data_dir, os.pread(lock, 20, 0).decode().strip()) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _refuse_if_lost(data_dir: Path) -> None:
    """DataDirectoryError if there is a database: new secrets could neither decrypt its values nor verify its tokens."""
    if (data_dir / "postgres").exists():
        raise DataDirectoryError(
            f"{data_dir} has a database, and its secrets.json is gone. Restore that file, or set RELEVO_JWT_SECRET and "
            "RELEVO_SECRET_KEY to what the database was used with."
        )


def _read(written: bytes) -> GeneratedSecrets:
    """What the file says. ValueError, TypeError or RecursionError if that is not what was written there."""
    read = GeneratedSecrets(**json.loads(written))
    for secret in (read.jwt_secret, read.secret_key):
        if not isinstance(secret, str) or len(secret.encode().strip()) < _MIN_SECRET_CHARACTERS:
            raise ValueError("it is no secret")  # whatever it is, the file is damaged
    return read


def _create(path: Path) -> None:
    made = {name: secrets.token_urlsafe(_SECRET_BYTES) for name in ("jwt_secret", "secret_key")}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent) as draft:  # readable by its owner only
        json.dump(made, draft)
        draft.flush()
        os.fsync(draft.fileno())
        # A hard link is created atomically and never overwrites the secrets that another process has just made.
        with suppress(FileExistsError):
            path.hardlink_to(draft.name)
