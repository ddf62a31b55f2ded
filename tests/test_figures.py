"""What the documents say in figures is what the code has. No more words stand here than tell which figure is meant."""

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from service.adapters.access import issuers
from service.adapters.destinations.http import answers, outcomes
from service.adapters.postgres.server import connections, database, schema
from service.api import sockets
from service.api.protocol import bodies, patience
from service.console.routes import live
from service.delivery import upkeep
from service.domain import headers, health, idempotency, limits, retention, tokens
from service.observability import telemetry
from service.runtime import access, core, resources
from service.settings.delivery import Delivery
from tests.benchmarks.sections.capacity import APPLICATIONS, RATE
from tests.faults.cases import FAULTS

ROOT = Path(__file__).parents[1]
KIB, MIB = 1024, 1024 * 1024
WORDS = {5: "five"}


def hours(time: timedelta) -> int:
    return time // timedelta(hours=1)


def written(seconds: float) -> str:
    """As the README writes a wait: `5 s`, `30 min`, `10 h`."""
    unit, length = next((unit, length) for unit, length in (("h", 3600), ("min", 60), ("s", 1)) if seconds >= length)
    return f"{seconds / length:g} {unit}"


def pinned(lock: str) -> int:
    """The packages of a lock."""
    return len(re.findall(r"^[\w.-]+==", (ROOT / lock).read_text(), re.MULTILINE))


README, DEPLOY, CAPACITY = "README.md", "deploy/deploy.md", "deploy/capacity.md"
OPERATIONS, SECURITY, DATABASES = "deploy/operations.md", "deploy/security.md", "deploy/databases.md"
HOUSE, API, FAULTS_FOUND = "service/README.md", "service/api/README.md", "tests/faults/README.md"
RUN, DEVELOP = pinned("requirements.lock"), pinned("requirements-dev.lock")
KEY_HOURS = hours(idempotency.KEYS_KEPT)
PATIENCE = patience.Patience()
SAID: Iterable[tuple[str, str]] = (
    (README, f"wait: {', '.join(map(written, Delivery().retry_schedule))} "),
    (README, f"key and body within {KEY_HOURS} hours"),
    (README, f"{WORDS[health.DISABLE_AFTER.days]} days of failures"),
    (README, f"{outcomes.MAX_BODY_BYTES:,} bytes of an answer"),
    (README, f"{answers.MAX_HEAD_BYTES // KIB} KiB of headers"),
    (README, f"{headers.MAX_KEPT_BYTES // KIB} KiB of the request's headers"),
    (README, f"{limits.MAX_BODY_BYTES // MIB} MiB"),
    (README, f"{retention.MESSAGES_KEPT.days} days"),
    (README, f"{len(FAULTS)} faults"),
    (FAULTS_FOUND, f"{len(FAULTS)} faults"),
    (API, f"within {KEY_HOURS} hours"),
    (OPERATIONS, f"{Delivery().drain:g} s)"),
    (OPERATIONS, f"within {telemetry.CLOSING_BUDGET_S:g} s"),
    (OPERATIONS, f"statement_timeout = '{database.STATEMENT_TIMEOUT_S:g}s'"),
    (OPERATIONS, f"idle_in_transaction_session_timeout = '{connections.IDLE_IN_TRANSACTION_S:g}s'"),
    (DEPLOY, f"a ping every {patience.PING_INTERVAL_S:g} s"),
    (API, f"answer a ping in {patience.PONG_TIMEOUT_S:g} s"),
    (DATABASES, f"a check (every {core.DATABASE_CHECK_INTERVAL.seconds} s)"),
    (OPERATIONS, f"with the ID token, after {hours(tokens.SESSION_LASTS)} hours at the latest"),
    (OPERATIONS, f"with its link's token, after {hours(tokens.SESSION_LASTS)} hours at the latest"),
    (DEPLOY, f"statement_timeout = '{database.STATEMENT_TIMEOUT_S:g}s'"),
    (DEPLOY, f"idle_in_transaction_session_timeout = '{connections.IDLE_IN_TRANSACTION_S:g}s'"),
    (SECURITY, f"after {PATIENCE.head:g} s"),
    (SECURITY, f"{PATIENCE.silence:g} s of silence"),
    (SECURITY, f"{bodies.BODY_TIMEOUT_S:g} s in all"),
    (SECURITY, f"{PATIENCE.unread_bytes // KIB} KiB in {PATIENCE.unread:g} s"),
    (SECURITY, f"after {PATIENCE.head_bytes // KIB} KiB"),
    (SECURITY, f"{PATIENCE.beside_each_byte} bytes for each"),
    (SECURITY, f"after {resources.CHECK_TIMEOUT_S:g} s"),
    (SECURITY, f"{limits.MAX_SCHEMAS_BYTES // KIB} KiB"),
    (SECURITY, f"{limits.MAX_BODY_BYTES // MIB} MiB"),
    (SECURITY, f"{bodies.MAX_HELD_BYTES // MIB} MiB"),
    (SECURITY, f"{outcomes.MAX_BODY_BYTES:,} bytes"),
    (SECURITY, f"every {issuers.MIN_FETCH_INTERVAL.seconds} s"),
    (CAPACITY, f"kept for {retention.MESSAGES_KEPT.days} days"),
    (CAPACITY, f"after {retention.PAYLOADS_KEPT.days} days"),
    (CAPACITY, f"samples the queue every {upkeep.SAMPLE_INTERVAL.seconds} s"),
    (CAPACITY, f"expired every {upkeep.CLEAR_INTERVAL // timedelta(minutes=1)} min"),
    (CAPACITY, f"{outcomes.MAX_BODY_BYTES:,} bytes"),
    (CAPACITY, f"take {RATE:g} messages/s for {APPLICATIONS} applications"),
    (HOUSE, f"{RUN} packages"),
    (HOUSE, f"the same and {DEVELOP - RUN} "),
)


@pytest.mark.parametrize(("document", "sentence"), SAID)
def test_a_document_says_what_the_code_has(document: str, sentence: str) -> None:
    assert sentence in " ".join((ROOT / document).read_text().split())


def test_what_is_said_in_words_of_a_time_is_so() -> None:
    assert timedelta(seconds=1) == access.REVOCATIONS_REFRESH_INTERVAL  # "that every process reads each second"
    assert schema.LOCK_TIMEOUT_S == 0.5  # "waits for a table half a second at a time"
    # A WebSocket that outlives its token or session is "closed with 4401 within seconds".
    assert max(sockets.CHECK_INTERVAL_S, live.SESSION_CHECK_INTERVAL_S) <= 5
