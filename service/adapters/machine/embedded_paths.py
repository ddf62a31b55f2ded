"""In which directories the embedded PostgreSQL can live."""

import errno
import os
from pathlib import Path

# The path is put into a shell command and into a comma-separated list, where these mean nothing.
_ALLOWED_CHARACTERS = "/._-+=@%:~#"
_MAX_PATH_BYTES = 800  # PostgreSQL's own paths have at most 1,023, and add file names to it
_OTHERWISE = "or RELEVO_DATABASE_URL to a PostgreSQL of your own."


def resolved(path: Path) -> Path:
    """The path without links. OSError if it has none."""
    try:
        return path.expanduser().resolve()
    except RuntimeError:  # before Python 3.13, for links that lead in a circle
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def fault_of(directory: Path) -> str | None:
    """Why PostgreSQL cannot live there, and what to set; None where it can."""
    path = str(directory)
    if not all(_is_allowed(character) for character in path):
        return (
            f"PostgreSQL cannot live in {path!r}: set RELEVO_DATA_DIR to a path of letters, digits and "
            f"{_ALLOWED_CHARACTERS} (no blanks), {_OTHERWISE}"
        )
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        return (
            f"PostgreSQL cannot live in a path of {len(os.fsencode(path))} bytes: set RELEVO_DATA_DIR to one of at "
            f"most {_MAX_PATH_BYTES}, {_OTHERWISE}"
        )
    return None


def _is_allowed(character: str) -> bool:
    """Of ASCII some, of all else whatever can be seen."""
    if character.isascii():
        return character.isalnum() or character in _ALLOWED_CHARACTERS
    return character.isprintable() and not character.isspace()
