"""Replacing the secrets of an endpoint by the official SDK, and what receivers verify meanwhile."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import standardwebhooks
import svix.webhooks
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import FastAPI
from httpx import AsyncClient
from svix.api import ApplicationIn, EndpointIn, EndpointSecretRotateIn, EventExampleIn, SvixAsync, SvixOptions
from svix.api.errors.validation_error import ValidationError
from svix.exceptions import HttpError, HTTPValidationError

from service.adapters.machine.ed25519 import Ed25519
from service.api.services import Services
from service.domain.signatures import MAX_OLD_SECRETS
from tests.api.conftest import TOKENS
from tests.api.served import served
from tests.support.clock import HandClock
from tests.support.factories import ORG
from tests.support.patience import patient
from tests.support.receiver import Call, Receiver, running_receiver

A_DAY = timedelta(days=1)
PAIR = Ed25519().new()
PRIVATE = "whsk_" + base64.b64encode(PAIR).decode()
PUBLIC = "whpk_" + base64.b64encode(PAIR[32:]).decode()
UNLIKE = "whsk_" + base64.b64encode(PAIR[:32] + Ed25519().new()[32:]).decode()
NO_SECRETS = {
    "not base64": "whsec_not base64 at all, but long enough!",
    "too short": "whsec_" + base64.b64encode(bytes(23)).decode(),
    "too long": "whsec_" + base64.b64encode(bytes(76)).decode(),
    "nothing": "",
    "a seed alone": "whsk_" + base64.b64encode(PAIR[:32]).decode(),
    "halves of two pairs": UNLIKE,
    "a public key": PUBLIC,
    "two prefixes": PRIVATE.replace("whsk_", "whsk_whsec_"),
    "another's prefix": "sk_" + base64.b64encode(bytes(24)).decode(),
}


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime.now(UTC))


@pytest.fixture
def services(services: Services, clock: HandClock) -> Services:
    """Secrets age by the test's clock; what is sent is dated by the real one, as receivers want it."""
    return replace(services, clock=clock)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


@pytest.fixture
async def sdk(app: FastAPI, receiver: Receiver) -> AsyncIterator[SvixAsync]:
    """The SDK of a customer with an application `a` and its endpoint `e`."""
    async with served(app) as client:
        address = str(client.base_url).removesuffix("/api/v1/")
        sdk = SvixAsync(TOKENS.mint(ORG, now=datetime.now(UTC)), SvixOptions(server_url=address, timeout=patient(15)))
        await sdk.application.create(ApplicationIn(name="a", uid="a"))
        await sdk.endpoint.create("a", EndpointIn(url=f"{receiver.url}/ok", uid="e"))
        yield sdk
        await sdk._httpx_client.aclose()


async def secret(sdk: SvixAsync) -> str:
    return (await sdk.endpoint.get_secret("a", "e")).key


async def rotated(sdk: SvixAsync, key: str | None = None, *, grace: int | None = None) -> str:
    """What a receiver is to be configured with from now on."""
    return (await sdk.endpoint.rotate_secret("a", "e", EndpointSecretRotateIn(key=key, grace_period_seconds=grace))).key


async def sent(sdk: SvixAsync, receiver: Receiver) -> Call:
    """What the receiver got of an example."""
    await sdk.endpoint.send_example("a", "e", EventExampleIn(event_type="svix.ping"))
    return receiver.calls[-1]


def verified_by(call: Call, *keys: str) -> list[bool]:
    """Whether a receiver that knows only this key takes the call, for each of them."""
    return [_takes(call, key) for key in keys]


async def test_a_replaced_secret_is_good_for_its_grace_and_no_longer(
    sdk: SvixAsync, receiver: Receiver, clock: HandClock
) -> None:
    first = await secret(sdk)
    clock.time -= 3 * A_DAY
    second = await rotated(sdk, grace=2 * 86_400)
    clock.time += A_DAY
    third = await rotated(sdk, grace=6 * 86_400)

    clock.time = datetime.now(UTC)
    call = await sent(sdk, receiver)

    assert verified_by(call, first, second, third) == [False, True, True]


async def test_hmac_gives_way_to_ed25519_and_both_verify_meanwhile(sdk: SvixAsync, receiver: Receiver) -> None:
    hmac = await secret(sdk)

    told = [await rotated(sdk, PRIVATE), await secret(sdk)]
    both = await sent(sdk, receiver)
    generated = await rotated(sdk, grace=0)
    after = await sent(sdk, receiver)

    assert told == [PUBLIC, PUBLIC]
    assert verified_by(both, hmac, PUBLIC) == [True, True]
    assert generated.startswith("whpk_")
    assert verified_by(after, hmac, PUBLIC, generated) == [True, False, True]


@pytest.mark.parametrize("operational", [False, True])
async def test_older_secrets_can_be_ended_at_once_and_the_current_one_stays(
    api: AsyncClient, clock: HandClock, *, operational: bool
) -> None:
    await api.post("/app", json={"name": "a", "uid": "a"})
    path = "/operational-webhook/endpoint" if operational else "/app/a/endpoint"
    endpoint = f"{path}/{(await api.post(path, json={'url': 'http://127.0.0.1:9/'})).json()['id']}"
    for _ in range(MAX_OLD_SECRETS):
        (await api.post(f"{endpoint}/secret/rotate", json={"gracePeriodSeconds": 600})).raise_for_status()
    full = await api.post(f"{endpoint}/secret/rotate", json={})
    current = (await api.get(f"{endpoint}/secret")).json()

    ended = await api.delete(f"{endpoint}/secret/old")

    assert (full.json()["code"], ended.status_code) == ("limit_reached", 204)
    assert (await api.get(f"{endpoint}/secret")).json() == current
    assert (await api.post(f"{endpoint}/secret/rotate", json={})).is_success  # there is room again: none is left
    assert clock.now()


async def test_what_was_ended_does_not_sign(sdk: SvixAsync, api: AsyncClient, receiver: Receiver) -> None:
    first = await secret(sdk)
    second = await rotated(sdk, grace=86_400)
    both = await sent(sdk, receiver)

    await api.delete("/app/a/endpoint/e/secret/old")

    assert verified_by(both, first, second) == [True, True]
    assert verified_by(await sent(sdk, receiver), first, second) == [False, True]


async def test_without_grace_the_old_secret_ends_at_once(sdk: SvixAsync, receiver: Receiver) -> None:
    old = await secret(sdk)

    new = await rotated(sdk, grace=0)

    assert verified_by(await sent(sdk, receiver), old, new) == [False, True]


async def test_the_eleventh_rotation_waits_until_the_first_of_the_old_secrets_has_ended(
    sdk: SvixAsync, receiver: Receiver, clock: HandClock
) -> None:
    first = await secret(sdk)
    keys = [first, *[await rotated(sdk, grace=3600 if not n else 86_400) for n in range(10)]]

    with pytest.raises(HttpError) as refused:
        await rotated(sdk, PRIVATE)
    unchanged = await sent(sdk, receiver)
    clock.time += timedelta(seconds=3600)
    eleventh = await rotated(sdk, PRIVATE)

    assert (refused.value.status_code, refused.value.code) == (400, "limit_reached")
    assert "next key expires at" in refused.value.detail
    assert verified_by(unchanged, *keys, PUBLIC) == [*[True] * 11, False]
    assert eleventh == PUBLIC


async def test_what_is_no_secret_is_refused_and_not_repeated(sdk: SvixAsync) -> None:
    before = await secret(sdk)

    refused = {
        name: [
            await refusal(rotated(sdk, text)),
            await refusal(sdk.endpoint.create("a", EndpointIn(url="http://127.0.0.1/", secret=text))),
        ]
        for name, text in NO_SECRETS.items()
    }

    assert {name: [error.loc for error in errors] for name, errors in refused.items()} == {
        name: [["body", "key"], ["body", "secret"]] for name in NO_SECRETS
    }
    assert [name for name, text in NO_SECRETS.items() if text and text in str(refused[name])] == []
    assert await secret(sdk) == before


async def test_grace_is_a_week_at_most(sdk: SvixAsync) -> None:
    for grace in (-1, 604_801):
        assert (await refusal(rotated(sdk, grace=grace))).loc == ["body", "gracePeriodSeconds"]


async def refusal(asked: Awaitable[object]) -> ValidationError:
    """What the SDK says is wrong with a request."""
    with pytest.raises(HTTPValidationError) as refused:
        await asked
    (error,) = refused.value.detail
    return error


def _takes(call: Call, key: str) -> bool:
    if key.startswith("whpk_"):
        return _verifies(call, Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_"))))
    headers = {name.lower(): value for name, value in call.headers}
    libraries = (standardwebhooks.Webhook(key), svix.webhooks.Webhook(key))
    answers = [_raises(partial(library.verify, call.body, headers)) for library in libraries]
    assert len(set(answers)) == 1
    return not answers[0]


def _verifies(call: Call, public: Ed25519PublicKey) -> bool:
    text = f"{call.header('webhook-id')}.{call.header('webhook-timestamp')}.".encode() + call.body
    versions = [signature.split(",") for signature in (call.header("webhook-signature") or "").split(" ")]
    return any(
        not _raises(partial(public.verify, base64.b64decode(value), text))
        for version, value in versions
        if version == "v1a"
    )


def _raises(verify: Callable[[], object]) -> bool:
    try:
        verify()
    except (InvalidSignature, standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError):
        return True
    return False
