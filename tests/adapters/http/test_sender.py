"""What the sender makes of receivers, good and bad, over real connections."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from ssl import SSLContext

import httpx
import pytest

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.adapters.destinations.http.sender import HttpSender
from service.domain.destinations import HttpDestination
from service.domain.outcomes import ErrorType, Failed, Outcome, RefusedForNow, Taken
from tests.support.certificates import self_signed
from tests.support.factories import a_parcel
from tests.support.misbehaviour import Connection
from tests.support.patience import unhurried
from tests.support.receiver import Receiver, running_receiver

LOCAL = Egress([ip_network("127.0.0.0/8")])
PATIENT, IMPATIENT = 30.0, 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A receiver and the client that calls it."""

    receiver: Receiver
    client: httpx.AsyncClient

    async def send(
        self, path: str, *, headers: dict[str, str] | None = None, body: bytes = b"{}", seconds: float = PATIENT
    ) -> Outcome:
        """What comes of one call to the path, or to the URL."""
        url = path if "://" in path else self.receiver.url + path
        return await HttpSender(self.client, timeout=seconds, egress=LOCAL).send(
            HttpDestination(url=url, headers=headers or {}), a_parcel(body)
        )


@asynccontextmanager
async def open_setting(
    server_context: SSLContext | None = None, client_context: SSLContext | None = None
) -> AsyncIterator[Setting]:
    async with (
        running_receiver(server_context) as receiver,
        open_http_client(LOCAL, concurrency=64, ssl_context=client_context) as client,
    ):
        yield Setting(receiver=receiver, client=client)


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    async with open_setting() as opened:
        yield opened


async def test_the_request_is_what_the_receiver_was_promised(setting: Setting) -> None:
    body = b'{ "n": 1.0,\n "text": "\xc3\xa9" }'

    await setting.send(
        "/ok/a%2Fb?token=a%2Bb%3D&empty=", headers={"webhook-id": "msg_1", "X-FunnyCase": "e"}, body=body
    )

    [call] = setting.receiver.calls
    assert (call.method, call.path, call.body) == ("POST", "/ok/a%2Fb?token=a%2Bb%3D&empty=", body)
    assert call.headers == [
        ("Host", setting.receiver.url.removeprefix("http://")),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("Content-Type", "application/json"),
        ("User-Agent", "Relevo/0.1.0"),
        ("webhook-id", "msg_1"),
        ("X-FunnyCase", "e"),
        ("Content-Length", str(len(body))),
    ]


async def test_a_header_of_the_endpoints_own_takes_the_place_of_ours(setting: Setting) -> None:
    await setting.send("/ok", headers={"accept": "application/cbor"})

    [call] = setting.receiver.calls
    assert [value for name, value in call.headers if name.lower() == "accept"] == ["application/cbor"]


@pytest.mark.parametrize("value", ["1\r\nx-injected: 1", "1\nx-injected: 1", "1\r x-injected: 1", "1\x00"])
async def test_a_header_that_holds_another_one_is_never_sent(setting: Setting, value: str) -> None:
    # The API takes no such value; this is what is left should one get past it.
    with pytest.raises(ValueError, match="header"):
        await setting.send("/ok", headers={"x-header": value})

    assert setting.receiver.calls == []


async def test_a_user_in_the_url_becomes_basic_authentication(setting: Setting) -> None:
    await setting.send(setting.receiver.url.replace("//", "//us%40er:pass@") + "/ok")

    [call] = setting.receiver.calls
    assert call.header("Authorization") == "Basic dXNAZXI6cGFzcw=="


async def test_an_authorization_header_wins_over_the_user_in_the_url(setting: Setting) -> None:
    await setting.send(
        setting.receiver.url.replace("//", "//user:pass@") + "/ok", headers={"authorization": "Bearer mine"}
    )

    [call] = setting.receiver.calls
    assert [value for name, value in call.headers if name.lower() == "authorization"] == ["Bearer mine"]


@pytest.mark.parametrize("status", [200, 204, 301, 404, 410, 429, 500, 503, 599])
async def test_any_status_is_an_answer(setting: Setting, status: int) -> None:
    outcome = await setting.send(f"/status/{status}")

    assert outcome.exchange.status == status


async def test_a_redirect_is_not_followed(setting: Setting) -> None:
    outcome = await setting.send("/redirect")

    assert outcome.exchange.status == 302
    assert [call.path for call in setting.receiver.calls] == ["/redirect"]


async def test_a_redirect_to_nonsense_is_an_answer_like_any_other(setting: Setting) -> None:
    outcome = await setting.send("/bad-redirect")

    assert outcome.exchange.status == 302


async def test_no_cookie_comes_back(setting: Setting) -> None:
    await setting.send("/cookie")
    await setting.send("/ok")

    assert setting.receiver.calls[1].header("Cookie") is None


async def test_a_connection_is_used_again(setting: Setting) -> None:
    for _ in range(3):
        await setting.send("/ok")

    assert setting.receiver.connections == 1


@pytest.mark.parametrize("leave", ["hang up", "reset"])
async def test_a_kept_connection_that_the_receiver_closes_as_we_write_costs_no_attempt(
    setting: Setting, leave: str
) -> None:
    async with closing_after_one(leave) as url:
        first = await setting.send(f"{url}/first")
        second = await setting.send(f"{url}/second")

    assert [type(first), type(second)] == [Taken, Taken]


async def test_a_new_connection_that_is_closed_without_an_answer_is_a_failed_attempt(setting: Setting) -> None:
    outcome = await setting.send("/reset")

    assert isinstance(outcome, Failed)
    assert len(setting.receiver.calls) == 1


@asynccontextmanager
async def closing_after_one(leave: str) -> AsyncIterator[str]:
    """A receiver that answers one call of a connection, and closes it instead of answering another."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader=reader, writer=writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):  # whoever leaves first is no matter
            await reader.readuntil(b"{}")
            await connection.answer(200)
            await reader.read(1)  # the next call has begun
            connection.reset() if leave == "reset" else connection.hang_up()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.mark.parametrize(
    "target",
    [
        "/ok?a=%2B&b=%26&c=%3D&d=%20&e=+&f=%2F",
        "/ok?lower=%7e&needless=%41",
        "/ok/%2F/%2e%2e/%41//b",
        "/ok/;v=1/@:!$&'()*+,=?a=b;c=d&[x]={y}|",
        "/ok?line=%0D%0AX-Injected:%201",
    ],
)
async def test_a_url_is_requested_as_it_was_written(setting: Setting, target: str) -> None:
    await setting.send(target)

    assert [call.path for call in setting.receiver.calls] == [target]


async def test_only_what_a_url_cannot_hold_is_escaped(setting: Setting) -> None:
    await setting.send('/ok/a b/\u00e9?q=\u00e9<">')

    assert [call.path for call in setting.receiver.calls] == ["/ok/a%20b/%C3%A9?q=%C3%A9%3C%22%3E"]


async def test_no_proxy_of_the_environment_is_used(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async with open_http_client(LOCAL, concurrency=1) as client:
        outcome = await HttpSender(client, timeout=PATIENT, egress=LOCAL).send(
            HttpDestination(url=f"{setting.receiver.url}/ok"), a_parcel()
        )

    assert isinstance(outcome, Taken)


@pytest.mark.parametrize(
    ("path", "error_type"),
    [
        ("/disconnect", ErrorType.RESET),
        ("/reset", ErrorType.RESET),
        ("/garbage", ErrorType.MALFORMED),
        ("http://no-such-host.invalid/", ErrorType.DNS),
        ("http://two..dots/", ErrorType.DNS),
        ("http://2130706433/", ErrorType.DNS),
        ("http://10.0.0.1/", ErrorType.EGRESS),
        ("http://[::1]/", ErrorType.EGRESS),
        ("http://0xa9fea9fe/latest/meta-data", ErrorType.EGRESS),
    ],
)
async def test_each_failure_has_a_reason_of_its_own(setting: Setting, path: str, error_type: ErrorType) -> None:
    outcome = await setting.send(path)

    assert isinstance(outcome, Failed)
    assert outcome.error_type is error_type


@pytest.mark.parametrize(
    ("path", "status", "broken"),
    [
        ("/reset-midway", 200, ErrorType.RESET),
        ("/short-body", 200, ErrorType.RESET),
        ("/bad-chunk", 200, ErrorType.MALFORMED),
        ("/two-lengths", 200, ErrorType.MALFORMED),
        ("/long-header", 200, ErrorType.MALFORMED),
        ("/endless-headers", 200, ErrorType.MALFORMED),
        ("/odd-status", 999, None),
    ],
)
async def test_once_there_is_a_status_it_decides(
    setting: Setting, path: str, status: int, broken: ErrorType | None
) -> None:
    outcome = await setting.send(path)

    assert (outcome.exchange.status, outcome.exchange.broken) == (status, broken)


async def test_the_deadline_also_ends_a_body_that_drips_whose_status_counts(setting: Setting) -> None:
    outcome = await setting.send("/drip", seconds=IMPATIENT)

    assert (isinstance(outcome, Taken), outcome.exchange.broken) == (True, ErrorType.TIMEOUT)
    assert outcome.exchange.duration < timedelta(seconds=unhurried(2))


@pytest.mark.parametrize("path", ["/silence", "/endless-continue", "/slow/20"])
async def test_one_deadline_covers_everything_from_connecting_to_the_last_byte(setting: Setting, path: str) -> None:
    outcome = await setting.send(path, seconds=IMPATIENT)

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.TIMEOUT
    assert outcome.exchange.duration < timedelta(seconds=unhurried(2))


async def test_a_closed_port_is_a_connection_failure(setting: Setting) -> None:
    with socket.socket() as bound:  # bound, and not listening
        bound.bind(("127.0.0.1", 0))
        outcome = await setting.send(f"http://127.0.0.1:{bound.getsockname()[1]}/")

    assert isinstance(outcome, Failed)
    assert (outcome.error_type, outcome.exchange.text) == (ErrorType.CONNECT, "The receiver refused the connection.")


async def test_a_name_that_leads_to_a_refused_address_is_refused(setting: Setting) -> None:
    strict = Egress()
    async with open_http_client(strict, concurrency=1) as client:
        outcome = await HttpSender(client, timeout=PATIENT, egress=strict).send(
            HttpDestination(url=setting.receiver.url.replace("127.0.0.1", "localhost") + "/ok"), a_parcel()
        )

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.EGRESS
    assert setting.receiver.connections == 0


@pytest.mark.parametrize(
    "host",
    [
        "localhost.",
        "127.0.0.1.",
        "127.1",
        "0x7f000001",
        "0177.0.0.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
        "127\u30020\u30020\u30021",
        "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",
    ],
    ids=ascii,
)
async def test_however_a_url_spells_this_machine_nobody_here_is_called(setting: Setting, host: str) -> None:
    strict = Egress()
    async with open_http_client(strict, concurrency=1) as client:
        outcome = await HttpSender(client, timeout=PATIENT, egress=strict).send(
            HttpDestination(url=setting.receiver.url.replace("127.0.0.1", host) + "/ok"), a_parcel()
        )

    assert isinstance(outcome, Failed)
    assert setting.receiver.connections == 0


async def test_an_address_is_refused_at_the_socket_even_when_the_sender_did_not_look(setting: Setting) -> None:
    async with open_http_client(Egress(), concurrency=1) as client:
        outcome = await HttpSender(client, timeout=PATIENT, egress=LOCAL).send(
            HttpDestination(url=f"{setting.receiver.url}/ok"), a_parcel()
        )

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.EGRESS
    assert setting.receiver.connections == 0


async def test_a_certificate_that_nobody_vouches_for_is_a_tls_failure(tmp_path: Path) -> None:
    server, _ = self_signed(tmp_path)
    async with open_setting(server) as setting:
        outcome = await setting.send("/ok")

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.TLS
    assert outcome.exchange.text == "The receiver's certificate is not valid: self-signed certificate."
    assert setting.receiver.calls == []


async def test_an_expired_certificate_is_a_tls_failure(tmp_path: Path) -> None:
    server, client = self_signed(tmp_path, valid_for=-timedelta(days=1))
    async with open_setting(server, client) as setting:
        outcome = await setting.send("/ok")

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.TLS
    assert outcome.exchange.text == "The receiver's certificate is not valid: certificate has expired."


async def test_a_trusted_certificate_is_accepted(tmp_path: Path) -> None:
    server, client = self_signed(tmp_path)
    async with open_setting(server, client) as setting:
        outcome = await setting.send("/ok")

    assert isinstance(outcome, Taken)


@pytest.mark.parametrize(
    ("path", "length"),
    [("/sized/0", 0), ("/sized/19999", 19_999), ("/sized/20000", 20_000), ("/sized/20001", 20_000), ("/huge", 20_000)],
)
async def test_of_a_large_answer_20_000_bytes_are_kept_and_the_status_decides(
    setting: Setting, path: str, length: int
) -> None:
    outcome = await setting.send(path)

    assert (outcome.exchange.status, len(outcome.exchange.text)) == (200, length)


async def test_a_compressed_answer_is_not_unpacked(setting: Setting) -> None:
    outcome = await setting.send("/bomb")

    assert len(outcome.exchange.text.encode()) <= 20_000


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(b"caf\xc3\xa9", "café", id="UTF-8"),
        pytest.param(b"a\x00b", "a\N{REPLACEMENT CHARACTER}b", id="NUL"),
        pytest.param(b"a\xffb", "a\N{REPLACEMENT CHARACTER}b", id="not UTF-8"),
        pytest.param(b"cut \xc3", "cut \N{REPLACEMENT CHARACTER}", id="a character that never ends"),
    ],
)
async def test_what_cannot_be_kept_as_text_is_replaced(setting: Setting, raw: bytes, text: str) -> None:
    outcome = await setting.send(f"/body/{raw.hex()}")

    assert outcome.exchange.text == text


@pytest.mark.parametrize("raw", [b"x" + "é".encode() * 10_500, b"\xff" * 20_500], ids=["split", "undecodable"])
async def test_a_cut_leaves_whole_characters_and_at_most_20_000_bytes(setting: Setting, raw: bytes) -> None:
    outcome = await setting.send("/echo", body=raw)

    assert 19_990 <= len(outcome.exchange.text.encode()) <= 20_000
    assert not outcome.exchange.text.startswith("x") or "\N{REPLACEMENT CHARACTER}" not in outcome.exchange.text


async def test_retry_after_is_told(setting: Setting) -> None:
    outcome = await setting.send("/status/503/1.2")

    assert isinstance(outcome, RefusedForNow)
    assert outcome.wait == timedelta(seconds=2)


async def test_a_canceled_send_is_canceled_and_hangs_up(setting: Setting) -> None:
    sending = asyncio.create_task(setting.send("/silence"))
    await setting.receiver.wait_for(1)

    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sending
    await setting.receiver.wait_until_idle()


async def test_many_receivers_that_never_answer_do_not_hold_up_one_that_does(setting: Setting) -> None:
    waiting = [asyncio.create_task(setting.send("/silence")) for _ in range(50)]
    await setting.receiver.wait_for(50)

    outcome = await setting.send("/ok", seconds=5)

    assert isinstance(outcome, Taken)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
