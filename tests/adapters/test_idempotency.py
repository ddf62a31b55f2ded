"""Idempotency keys: the first answer comes again, and a request that failed leaves none."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork, open_unit_of_work
from service.adapters.postgres.server.database import open_database
from service.application.ports.repositories import StoredResponse
from service.domain.errors import KeyReused
from tests.support.factories import VAULT, idempotency_key

Begin = Callable[[], AbstractAsyncContextManager[PostgresUnitOfWork]]

KEY = idempotency_key("a key", body=b"1")
ANSWER = StoredResponse(status=201, body=b'{"id": "app_1"}')


@pytest.fixture
async def begin(database: str) -> AsyncIterator[Begin]:
    async with open_database(database) as opened:
        yield partial(open_unit_of_work, opened.sessions, VAULT)


async def test_the_first_answer_comes_again(begin: Begin) -> None:
    async with begin() as work:
        assert await work.idempotency.claim(KEY) is None
        await work.idempotency.keep(KEY, ANSWER)

    async with begin() as work:
        assert await work.idempotency.claim(KEY) == ANSWER


async def test_another_body_is_refused(begin: Begin) -> None:
    async with begin() as work:
        await work.idempotency.claim(KEY)
        await work.idempotency.keep(KEY, ANSWER)

    async with begin() as work:
        with pytest.raises(KeyReused):
            await work.idempotency.claim(idempotency_key("a key", body=b"2"))


async def test_a_request_that_failed_leaves_its_key_free(begin: Begin) -> None:
    async def fail() -> None:
        async with begin() as work:
            await work.idempotency.claim(KEY)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    async with begin() as work:
        assert await work.idempotency.claim(KEY) is None


async def test_keys_do_not_touch_each_other(begin: Begin) -> None:
    async with begin() as work:
        await work.idempotency.claim(KEY)
        await work.idempotency.keep(KEY, ANSWER)

    async with begin() as work:
        assert await work.idempotency.claim(idempotency_key("another")) is None
