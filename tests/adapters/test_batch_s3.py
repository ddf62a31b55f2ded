"""Batches into a bucket whose server answers badly: once a status has arrived, it decides."""

from dataclasses import replace
from typing import cast

import pytest

from service.domain.batches import BatchResult
from service.domain.outcomes import ErrorType, Failed, Taken
from service.domain.sinks import S3Sink
from tests.contracts.test_batch_senders import failed, sent
from tests.support.batch_stands import AT
from tests.support.patience import unhurried
from tests.support.receiver import Receiver, running_receiver

IMPATIENT = unhurried(0.4)
# What follows the status line of a 200, by the path of the receiver, and how it breaks the answer.
BROKEN = {
    "short-body": ErrorType.RESET,
    "reset-midway": ErrorType.RESET,
    "drip": ErrorType.TIMEOUT,
    "two-lengths": ErrorType.MALFORMED,
    "bad-chunk": ErrorType.MALFORMED,
    "long-header": ErrorType.MALFORMED,
    "endless-headers": ErrorType.MALFORMED,
}


def below(receiver: Receiver, path: str) -> S3Sink:
    return replace(cast("S3Sink", AT[S3Sink]("127.0.0.1", receiver.port)), endpoint_url=f"{receiver.url}/{path}")


async def put_below(path: str, *, seconds: float | None = None) -> BatchResult:
    async with running_receiver() as receiver:
        return await sent(below(receiver, path), b"1", b"2", seconds=seconds)


@pytest.mark.parametrize("path", BROKEN)
async def test_a_success_whose_body_breaks_off_is_one_and_the_error_is_noted(path: str) -> None:
    result = await put_below(path, seconds=IMPATIENT if path == "drip" else None)

    assert isinstance(result.outcome, Taken)
    assert (result.taken, result.outcome.exchange.status, result.outcome.exchange.broken) == (2, 200, BROKEN[path])


async def test_what_was_answered_before_a_body_broke_off_is_shown() -> None:
    assert (await put_below("short-body")).outcome.exchange.text == "half"


async def test_a_body_is_read_as_far_as_it_is_kept() -> None:
    result = await put_below("huge/50000000")

    assert isinstance(result.outcome, Taken)
    assert result.outcome.exchange.text == "x" * 20_000


@pytest.mark.parametrize(
    ("path", "error_type"),
    [
        ("status/403", ErrorType.REFUSED),
        ("status/500", ErrorType.FAULT),
        ("redirect", ErrorType.REFUSED),
        ("garbage", ErrorType.MALFORMED),
        ("reset", ErrorType.RESET),
    ],
)
async def test_no_other_answer_is_a_success(path: str, error_type: ErrorType) -> None:
    assert failed(await put_below(path)) is error_type


async def test_what_is_put_is_one_signed_object_of_lines_that_are_compressed() -> None:
    async with running_receiver() as receiver:
        await sent(below(receiver, "ok"), b"1", b"2")

    [call] = receiver.calls
    assert (call.method, call.path) == ("PUT", f"/ok/bucket/app_1/dest_1/{1:020d}-{2:020d}.ndjson.gz")
    named = {name.lower(): value for name, value in call.headers}
    assert (named["content-type"], named["content-encoding"]) == ("application/x-ndjson", "gzip")
    assert (named["accept-encoding"], named["host"]) == ("identity", receiver.url.removeprefix("http://"))
    assert named["authorization"].startswith("AWS4-HMAC-SHA256 Credential=user/")


async def test_a_key_s_name_of_any_letters_is_the_server_s_to_refuse() -> None:
    async with running_receiver() as receiver:
        result = await sent(replace(below(receiver, "status/403"), access_key_id="ключ"), b"1")

    assert isinstance(result.outcome, Failed)
    assert result.outcome.exchange.status == 403
