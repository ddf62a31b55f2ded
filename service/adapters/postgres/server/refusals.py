"""What PostgreSQL refuses after it has let a command in: the server's own words, and what to do about them."""

import asyncpg
from sqlalchemy.exc import DBAPIError

# Errors of a statement, by asyncpg itself and by SQLAlchemy over it.
STATEMENT_ERRORS = (asyncpg.PostgresError, DBAPIError)

# Classes of SQLSTATE whose errors may pass without a change of settings, roles or schema: connections, rollbacks for
# concurrency, resources, objects in use, operators, the system below, and the server itself.
_PASSING = ("08", "40", "53", "55", "57", "58", "XX")
_ADVICE = {
    "42501": "Grant that to its role, or set {variable} to a role that has it, such as the owner of the database.",
    "25006": "Set {variable} to a server that takes writes, without default_transaction_read_only.",
    "3F000": "Let its search_path name a schema that is there: the role, the database or {variable} sets it.",
    "57014": "Raise the statement_timeout that the role, the database or {variable} sets, or run this again.",
    "53": "Make room there, or set {variable} to where there is more.",
}
_OTHERWISE = "Mend that there, or set {variable} to another database."


class StatementRefused(Exception):
    """The database answered a statement with an error. `why` is what the server said, `variable` what leads there, and
    `passing` whether the same may succeed later without a change."""

    def __init__(self, error: asyncpg.PostgresError, variable: str) -> None:
        state = str(error.sqlstate)
        said = " ".join(str(error).split()).rstrip(".")
        advice = _ADVICE.get(state) or _ADVICE.get(state[:2]) or _OTHERWISE
        self.passing = state.startswith(_PASSING)
        self.why = f"The database refuses a statement: {said} (SQLSTATE {state}). {advice.format(variable=variable)}"
        super().__init__(self.why)


def refused_by(error: BaseException) -> BaseException:
    """The error as asyncpg raised it, without SQLAlchemy around it."""
    said = error.orig if isinstance(error, DBAPIError) else None
    return (said and said.__cause__) or said or error
