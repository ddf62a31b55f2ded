"""What an idempotency key counts for, and what is the same request."""

import hashlib
from typing import Any

import pytest

from service.domain.idempotency import fingerprint_of, key_of
from service.domain.ids import ApplicationId, OrgId

FIRST: dict[str, Any] = {"org": "org_a", "app": "app_a", "asked": ("POST", "/api/v1/app"), "key": "k", "said": b"{}"}
OTHERS: dict[str, dict[str, Any]] = {
    "another organisation": {"org": "org_b"},
    "the organisation itself": {"app": None},
    "another application": {"app": "app_b"},
    "another act": {"asked": ("PUT", "/api/v1/app")},
    "another place": {"asked": ("POST", "/api/v1/app/a/endpoint")},
    "another key": {"key": "K"},
    "parts that run together": {"asked": ("POST", "/api/v1/appk"), "key": ""},
    "parts cut elsewhere": {"asked": ("POST/api", "/v1/app")},
    "one part more": {"asked": ("POST", "/api/v1/app", "")},
}


def made(**changed: Any) -> Any:
    values = FIRST | changed
    org, app = OrgId(values["org"]), ApplicationId(values["app"]) if values["app"] else None
    return key_of(org, app, *values["asked"], key=values["key"], fingerprint=fingerprint_of(values["said"]))


def test_the_same_request_has_the_same_key() -> None:
    assert made() == made()


@pytest.mark.parametrize("name", OTHERS)
def test_a_key_counts_for_its_caller_and_what_it_asks_for(name: str) -> None:
    other = made(**OTHERS[name])

    assert other.scope != made().scope
    assert other.fingerprint == made().fingerprint


@pytest.mark.parametrize("said", [b"", b"{} ", b'{"a": 1}', b"{}\n"])
def test_what_else_is_said_under_a_key_is_another_request(said: bytes) -> None:
    other = made(said=said)

    assert other.scope == made().scope
    assert not other.repeats(made().fingerprint)
    assert made().repeats(made().fingerprint)


def test_keys_of_the_release_before_still_count() -> None:
    parts = ("org_a", "app_a", "POST", "/api/v1/app", "k")
    digests = b"".join(hashlib.sha256(part.encode()).digest() for part in parts)

    assert made().scope == hashlib.sha256(digests).digest()
    assert made().fingerprint == hashlib.sha256(b"{}").digest()
