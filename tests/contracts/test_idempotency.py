"""What an IdempotencyRepository does."""

from contextlib import suppress
from datetime import timedelta

import pytest

from service.adapters.postgres.server.database import Database
from service.application.ports.repositories import StoredResponse
from service.domain.errors import KeyReused, StillRunning
from service.domain.idempotency import KEYS_KEPT
from tests.contracts.conftest import BeginKept
from tests.support.factories import idempotency_key

ANSWER = StoredResponse(status=201, body=b'{"key": "whsec_secret"}')
AGED = "UPDATE idempotency_key SET created_at = now() - $2::interval WHERE scope = $1"


async def test_a_key_is_the_first_request_s_and_then_has_its_answer(kept: BeginKept) -> None:
    key = idempotency_key("first")

    async with kept() as work:
        assert await work.idempotency.claim(key) is None
        await work.idempotency.keep(key, ANSWER)

    async with kept() as work:
        assert await work.idempotency.claim(key) == ANSWER


async def test_another_body_under_a_key_is_refused(kept: BeginKept) -> None:
    async with kept() as work:
        await work.idempotency.claim(idempotency_key("reused", body=b"1"))

    with pytest.raises(KeyReused):
        async with kept() as work:
            await work.idempotency.claim(idempotency_key("reused", body=b"2"))


async def test_a_request_that_failed_leaves_its_key_free(kept: BeginKept) -> None:
    key = idempotency_key("failed")

    with suppress(ZeroDivisionError):
        async with kept() as work:
            await work.idempotency.claim(key)
            raise ZeroDivisionError

    async with kept() as work:
        assert await work.idempotency.claim(key) is None


async def test_a_key_without_an_answer_is_that_of_a_request_that_runs(kept: BeginKept) -> None:
    key = idempotency_key("running")
    async with kept() as work:
        await work.idempotency.claim(key)

    with pytest.raises(StillRunning):
        async with kept() as work:
            await work.idempotency.claim(key)


@pytest.mark.parametrize(
    ("age", "counts"), [(KEYS_KEPT - timedelta(minutes=1), True), (KEYS_KEPT + timedelta(minutes=1), False)]
)
async def test_a_key_counts_for_as_long_as_keys_are_kept(
    shared: Database, kept: BeginKept, age: timedelta, counts: bool
) -> None:
    key = idempotency_key(f"aged {counts}")
    async with kept() as work:
        await work.idempotency.claim(key)
        await work.idempotency.keep(key, ANSWER)
    await shared.pool.execute(AGED, key.scope, age)

    async with kept() as work:
        assert await work.idempotency.claim(key) == (ANSWER if counts else None)


async def test_no_answer_is_kept_in_the_clear(shared: Database, kept: BeginKept) -> None:
    key = idempotency_key("sealed")
    async with kept() as work:
        await work.idempotency.claim(key)
        await work.idempotency.keep(key, ANSWER)

    body = await shared.pool.fetchval("SELECT body FROM idempotency_key WHERE scope = $1", key.scope)
    assert b"whsec" not in body
