"""Tokens: which hold, which do not, and for how long."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from service.adapters.access.tokens import DEFAULT_ORGANISATION, Tokens
from service.application.access import Caller, Grant
from service.domain import ids
from service.domain.errors import NotAuthenticated
from service.domain.ids import ApplicationId, OrgId
from tests.support.clock import HandClock

SECRET = "a secret of thirty-two characters and more"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ORG = OrgId(ids.make(ids.ORGANISATION, at=NOW, randomness=bytes(15)))
APP = ApplicationId(ids.make(ids.APPLICATION, at=NOW, randomness=bytes(15)))


def tokens(clock: HandClock | None = None, *, secret: str = SECRET) -> Tokens:
    return Tokens(secret, clock=clock or HandClock(NOW))


def signed(claims: dict[str, Any], *, secret: str = SECRET, algorithm: str = "HS256") -> str:
    defaults = {"sub": ORG, "exp": NOW.timestamp() + 60}
    return jwt.encode({**defaults, **claims}, secret, algorithm=algorithm)


def test_a_minted_token_speaks_for_its_organisation() -> None:
    token = tokens().mint(ORG, now=NOW)

    assert tokens().verify(token) == Caller(org_id=ORG, app_id=None, role="admin")


def test_a_role_is_kept_in_the_token() -> None:
    token = tokens().mint(ORG, now=NOW, role="reader")

    assert tokens().verify(token).role == "reader"


def test_an_application_token_speaks_for_one_application() -> None:
    token = tokens().mint_for_application(APP, ORG, now=NOW)

    caller = tokens().verify(token)

    assert (caller.org_id, caller.app_id) == (ORG, APP)


def test_the_default_organisation_is_a_valid_identifier() -> None:
    assert ids.is_valid(ids.ORGANISATION, DEFAULT_ORGANISATION)


def test_the_issuer_does_not_matter_so_tokens_of_a_peer_with_the_same_secret_hold() -> None:
    assert tokens().verify(signed({"iss": "svix-server", "iat": NOW.timestamp(), "nbf": NOW.timestamp()})).org_id == ORG


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=59)])
def test_a_token_holds_a_minute_past_its_end_because_clocks_differ(late: timedelta) -> None:
    clock = HandClock(NOW)
    token = signed({"exp": NOW.timestamp()})
    clock.time = NOW + late

    assert tokens(clock).verify(token).org_id == ORG


@pytest.mark.parametrize("remembered", [False, True])
def test_a_token_ends_when_it_says_also_when_it_is_remembered(remembered: bool) -> None:
    clock = HandClock(NOW)
    known = tokens(clock)
    token = signed({})
    if remembered:
        known.verify(token)

    clock.time = NOW + timedelta(seconds=121)

    with pytest.raises(NotAuthenticated):
        known.verify(token)


def test_a_token_does_not_hold_before_its_time() -> None:
    clock = HandClock(NOW)
    known = tokens(clock)
    token = signed({"nbf": NOW.timestamp() + 300, "exp": NOW.timestamp() + 900})

    with pytest.raises(NotAuthenticated):
        known.verify(token)
    clock.time = NOW + timedelta(seconds=300)

    assert known.verify(token).org_id == ORG


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(seconds=60)])
def test_a_token_of_a_clock_that_is_a_minute_ahead_of_ours_holds(ahead: timedelta) -> None:
    token = tokens().mint(ORG, now=NOW + ahead)

    assert tokens().verify(token).org_id == ORG


def test_a_token_of_a_clock_that_is_further_ahead_of_ours_does_not_hold_yet() -> None:
    token = tokens().mint(ORG, now=NOW + timedelta(seconds=61))

    with pytest.raises(NotAuthenticated):
        tokens().verify(token)


def unsigned(algorithm: str) -> str:
    parts = ({"alg": algorithm, "typ": "JWT"}, {"sub": ORG, "exp": NOW.timestamp() + 60})
    head, claims = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return f"{head}.{claims}."


def by_public_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return signed({}, secret=pem, algorithm="RS256")


def nested() -> str:
    return base64.urlsafe_b64encode(b'{"a":' + b"[" * 5000).rstrip(b"=").decode() + ".e30.AAAA"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "garbage",
        "a.b.c",
        "é.é.é",
        "\ud800.a.b",
        unsigned("none"),
        unsigned("HS256"),
        by_public_key(),
        nested(),
        "x" * 100_000,
        signed({}, secret="another secret of thirty-two characters and more"),
        signed({}, secret=SECRET * 2, algorithm="HS512"),
        signed({}, algorithm="HS384", secret=SECRET * 2),
        signed({"sub": "org_"}),
        signed({"sub": "org_with space"}),
        signed({"sub": "org_" + "x" * 253}),
        signed({"sub": APP}),
        signed({"sub": APP, "org": "acme"}),
        signed({"sub": ORG, "org": ORG}),
        signed({"org": None, "sub": APP}),
        signed({"role": "root"}),
        signed({"role": ["admin"]}),
        signed({"exp": "9999999999"}),
        signed({"exp": True}),
        signed({"exp": float("nan")}),
        signed({"exp": 10**400}),
        signed({"nbf": "0"}),
        jwt.encode({"sub": ORG}, SECRET),
    ],
    ids=lambda token: token[:12].encode("ascii", "replace").decode(),
)
def test_what_does_not_hold_is_refused_without_a_reason(token: str) -> None:
    with pytest.raises(NotAuthenticated, match=r"^Invalid token$"):
        tokens().verify(token)


def test_however_often_a_token_is_refreshed_it_ends_four_weeks_after_the_first() -> None:
    clock = HandClock(NOW)
    known = tokens(clock)
    token = known.mint_for_application(APP, ORG, now=NOW, grant=Grant(lifetime=timedelta(days=7)))

    lifetimes = []
    for _ in range(5):
        caller = known.verify(token)
        assert caller.credential
        lifetimes.append(timedelta(seconds=caller.credential.expires_at - caller.credential.issued_at))
        clock.time += timedelta(days=6)
        token = known.mint_for_application(APP, ORG, now=clock.time, grant=Grant.again(caller))

    assert lifetimes == [timedelta(days=days) for days in (7, 7, 7, 7, 4)]
    with pytest.raises(NotAuthenticated):
        known.verify(token)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (SECRET, "this is the secret that tokens are signed with"),
        (jwt.encode({"exp": NOW.timestamp() + 60}, SECRET), "missing `sub`"),
    ],
)
def test_who_knows_the_secret_is_told_what_is_wrong(token: str, reason: str) -> None:
    with pytest.raises(NotAuthenticated, match=reason) as refused:
        tokens().verify(token)

    assert token not in refused.value.detail


def test_whatever_begins_like_an_organisation_is_one() -> None:
    assert tokens().verify(signed({"sub": "org_acme"})).org_id == "org_acme"
