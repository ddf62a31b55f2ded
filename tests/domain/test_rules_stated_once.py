"""Rules of the product are written in the domain, and nowhere besides."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import service

ROOT = Path(service.__file__).parent

A_LONG_TIME = {"hours", "days", "weeks"}
# No rules of the product: how an adapter works, what it takes from others, the hour and the day as units, and what a
# page shows at first.
TIMES_OF_THEIR_OWN = {
    "adapters/access/issuers.py KEYS_LIFETIME",
    "adapters/destinations/http/outcomes.py MAX_WAIT",
    "api/idempotency.py KEY_HOURS",
    "api/schemas/messages.py (_MAX_DAYS, _MAX_HOURS)",
    "application/ports/pages.py CLOCK_TOLERANCE",
    "console/routes/overview.py DAY",
    "console/routes/replays.py USUAL_SPAN",
}
A_LONG_INTERVAL = re.compile(r"interval '\d+ (?:hour|day|week|month)s?'")
# How long what waits aside under a throttle need not be looked at; it is taken from there by its rate.
INTERVALS_OF_THEIR_OWN = {"adapters/postgres/queue/claims.sql claim"}

LETTERS = re.compile(r"a-z.?A-Z|A-Z.?a-z|a-z0-9")
# Of correlation ids, settings, and fields that are compared without their signs: no names that callers give.
PATTERNS_OF_THEIR_OWN = {
    "api/protocol/ignored.py",
    "observability/correlation.py",
    "observability/values.py",
    "settings/values.py",
}

WISHES = re.compile(r"\be\.(?:event_types|channels)\b|:(?:event_types|channels)\b")
# Held to `domain/subscriptions.py` by one table, in `adapters/test_subscriptions.py`.
SAY_WHO_WANTS = {
    "adapters/postgres/queue/streams.sql read_stream",
    "adapters/postgres/queue/intake.sql accept",
    "adapters/postgres/queue/replays.sql missing",
}
# What a caller wants of a list, and what is kept of an attempt.
SAY_SOMETHING_ELSE = {"adapters/postgres/queue/replays.sql sent"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Those outside the domain; migrations stay as they were."""
    for path in ROOT.rglob("*.py"):
        name = str(path.relative_to(ROOT))
        if not name.startswith("domain/") and "migrations" not in name:
            yield name, ast.parse(path.read_text())


def statements() -> Iterator[tuple[str, str]]:
    """Those that are kept as SQL, with their parameters by name."""
    for path in ROOT.rglob("*.sql"):
        _, *parts = re.split(r"^-- name: (\w+)\n", path.read_text(), flags=re.MULTILINE)
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            yield f"{path.relative_to(ROOT)} {name}", text


def constants_of_long_times(tree: ast.Module) -> Iterator[str]:
    """The constants of a module that are an hour or longer."""
    for assigned in (node for node in tree.body if isinstance(node, ast.Assign)):
        for call in (node for node in ast.walk(assigned.value) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) == "timedelta" and A_LONG_TIME & {word.arg for word in call.keywords}:
                yield ast.unparse(assigned.targets[0])


def test_times_of_hours_and_days_are_named_in_the_domain() -> None:
    found = {f"{name} {constant}" for name, tree in modules() for constant in constants_of_long_times(tree)}

    assert found == TIMES_OF_THEIR_OWN


def test_statements_are_given_the_times_that_rule() -> None:
    assert {name for name, text in statements() if A_LONG_INTERVAL.search(text)} == INTERVALS_OF_THEIR_OWN


def test_what_callers_may_call_something_is_a_pattern_of_the_domain() -> None:
    found = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and LETTERS.search(node.value)
    }

    assert found == PATTERNS_OF_THEIR_OWN


def test_which_endpoint_wants_a_message_is_said_where_it_is_held_to_the_domain() -> None:
    assert {name for name, text in statements() if WISHES.search(text)} == SAY_WHO_WANTS | SAY_SOMETHING_ELSE
