"""What we sign, the libraries that receivers use can verify."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
import svix.webhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.machine.ed25519 import Ed25519
from service.domain import signatures
from service.domain.signatures import Kind, Secret

Verifier = Callable[[str], standardwebhooks.Webhook | svix.webhooks.Webhook]
VERIFIERS = [
    pytest.param(standardwebhooks.Webhook, "webhook", id="standardwebhooks"),
    pytest.param(svix.webhooks.Webhook, "svix", id="svix"),
    pytest.param(svix.webhooks.Webhook, "webhook", id="svix, by the standard's header names"),
]
PAIRS = Ed25519()
THEN = datetime(2026, 7, 15, 12, tzinfo=UTC)


def a_secret(number: int, *, expires_at: datetime | None = None) -> Secret:
    return Secret(key=bytes([number]) * 24, expires_at=expires_at)


def signed(
    *secrets: Secret, body: bytes, family: str = "webhook", message_id: str = "msg_1", at: datetime | None = None
) -> dict[str, str]:
    """Headers of now, unless said otherwise: the libraries refuse what is more than five minutes old."""
    at = at or datetime.now(UTC)
    signature = signatures.sign(secrets, message_id=message_id, at=at, body=body, ed25519=PAIRS.sign)
    return signatures.headers((family,), message_id=message_id, at=at, signature=signature)


def test_the_signature_is_the_one_of_the_published_vector() -> None:
    secret = signatures.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    signature = signatures.sign(
        (secret,),
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=datetime.fromtimestamp(1614265330, UTC),
        body=b'{"test": 2432232314}',
        ed25519=PAIRS.sign,
    )

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(("verifier", "family"), VERIFIERS)
@given(key=st.binary(min_size=signatures.MIN_SECRET_BYTES, max_size=signatures.MAX_SECRET_BYTES), text=st.text())
def test_receivers_libraries_verify_what_we_sign(verifier: Verifier, family: str, key: bytes, text: str) -> None:
    secret, body = Secret(key=key), json.dumps({"text": text}, ensure_ascii=False).encode()

    verifier(secret.text).verify(body, signed(secret, body=body, family=family))


@pytest.mark.parametrize(("verifier", "family"), VERIFIERS)
def test_a_body_that_was_changed_is_found_out(verifier: Verifier, family: str) -> None:
    headers = signed(a_secret(1), body=b'{"amount": 1}', family=family)

    with pytest.raises(Exception, match="No matching signature"):
        verifier(a_secret(1).text).verify(b'{"amount": 2}', headers)


def test_while_a_secret_is_replaced_old_and_new_both_verify() -> None:
    old, new = a_secret(1, expires_at=datetime.now(UTC) + timedelta(hours=1)), a_secret(2)

    headers = signed(new, old, body=b"{}")

    for secret in (old, new):
        standardwebhooks.Webhook(secret.text).verify(b"{}", headers)


def test_the_newest_secret_signs_first() -> None:
    both = signed(a_secret(2), a_secret(1), body=b"{}", at=THEN)["webhook-signature"]

    assert both.split(" ") == [
        signed(a_secret(2), body=b"{}", at=THEN)["webhook-signature"],
        signed(a_secret(1), body=b"{}", at=THEN)["webhook-signature"],
    ]


@pytest.mark.parametrize("expired", [THEN, THEN - timedelta(seconds=1)])
def test_an_expired_secret_signs_no_more(expired: datetime) -> None:
    with_old = signed(a_secret(2), a_secret(1, expires_at=expired), body=b"{}", at=THEN)

    assert with_old == signed(a_secret(2), body=b"{}", at=THEN)


def test_each_family_of_headers_says_the_same() -> None:
    headers = signatures.headers(("webhook", "svix"), message_id="msg_1", at=THEN, signature="v1,abc")

    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(THEN.timestamp())),
        "webhook-signature": "v1,abc",
        "svix-id": "msg_1",
        "svix-timestamp": str(int(THEN.timestamp())),
        "svix-signature": "v1,abc",
    }


def test_a_key_pair_signs_beside_hmac_and_its_public_half_verifies() -> None:
    pair, secret = Secret(key=PAIRS.new(), kind=Kind.ED25519), a_secret(1)
    public = base64.b64decode(pair.text.removeprefix("whpk_"))

    headers = signed(pair, secret, body=b"{}", at=THEN)

    asymmetric, symmetric = headers["webhook-signature"].split(" ")
    text = f"msg_1.{int(THEN.timestamp())}.{{}}".encode()
    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(asymmetric.removeprefix("v1a,")), text)
    assert symmetric == signed(secret, body=b"{}", at=THEN)["webhook-signature"]


def test_a_written_key_pair_reads_back() -> None:
    key = PAIRS.new()

    assert signatures.parse("whsk_" + base64.b64encode(key).decode()) == Secret(key=key, kind=Kind.ED25519)


@given(key=st.binary(min_size=signatures.MIN_SECRET_BYTES, max_size=signatures.MAX_SECRET_BYTES))
def test_a_written_secret_reads_back_with_or_without_its_prefix(key: bytes) -> None:
    text = Secret(key=key).text

    assert signatures.parse(text) == signatures.parse(text.removeprefix("whsec_")) == Secret(key=key)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("whsec_not base64!", "followed by base64", id="not base64"),
        pytest.param("whsec_é", "followed by base64", id="not ASCII"),
        pytest.param("whsec_", "this one has 0", id="empty"),
        pytest.param("whsec_" + base64.b64encode(bytes(23)).decode(), "this one has 23", id="too short"),
        pytest.param("whsec_" + base64.b64encode(bytes(76)).decode(), "this one has 76", id="too long"),
        pytest.param("whsk_" + base64.b64encode(bytes(63)).decode(), "this one has 63", id="no key pair"),
    ],
)
def test_what_is_no_secret_is_refused_with_a_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        signatures.parse(text)


def test_a_secret_does_not_show_itself() -> None:
    assert "key" not in repr(Secret(key=b"a key that nobody may see")).lower()
