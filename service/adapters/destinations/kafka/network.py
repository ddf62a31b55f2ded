"""Has a client of aiokafka open its connections, those to brokers that the cluster tells of too, by a dialer."""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, ScramAuthenticator
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from service.adapters.destinations.conversation import conversation
from service.adapters.destinations.network import Dialer, DialingLoop
from service.adapters.destinations.scram import check

_FAILURES = (OSError, KafkaError, TimeoutError)


class Network:
    """The connections of one client of aiokafka, which has no way to choose how they are opened.

    `failure` is the last reason for which one could not be opened; aiokafka itself only logs it.
    """

    def __init__(self, client: AIOKafkaClient, dialer: Dialer, **options: Any) -> None:
        """`options` are those of aiokafka's connections: TLS, login, limits of time."""
        self._client = client
        self._dialer = dialer
        self._options = options
        self._opening = asyncio.Lock()
        self.failure: BaseException | None = None
        client.bootstrap = self._bootstrap
        client._get_conn = self._connection  # noqa: SLF001  # no public way to it

    async def _bootstrap(self) -> None:
        """Learn the cluster from the first of the configured brokers that answers. Raises the last one's failure."""
        for host, port, _ in self._client.hosts:
            try:
                opened = await self._opened(host, port)
                try:
                    with conversation(KafkaError):
                        self._client.cluster.update_metadata(await opened.send(MetadataRequest([])))
                finally:
                    opened.close()
            except _FAILURES as error:
                self.failure = error
                continue
            self._client._sync_task = asyncio.create_task(self._client._md_synchronizer())  # noqa: SLF001  # as above
            return
        raise self.failure or KafkaError("No broker is configured.")

    async def _connection(self, node: Any, *, group: int = ConnectionGroup.DEFAULT, **_: Any) -> Any:
        """The connection to a broker of the cluster; None when it cannot be had, for which aiokafka tries again."""
        kept: dict[Any, Any] = self._client._conns  # noqa: SLF001  # as above
        async with self._opening:
            if (node, group) in kept and kept[node, group].connected():
                return kept[node, group]
            broker = self._client.cluster.broker_metadata(node)
            try:
                if broker is None:
                    raise KafkaError(f"Broker {node} is unknown to the cluster.")
                kept[node, group] = await self._opened(broker.host, broker.port)
            except _FAILURES as error:
                kept.pop((node, group), None)
                self.failure = error
                self._client.force_metadata_update()
                return None
            return kept[node, group]

    async def _opened(self, host: str, port: int) -> AIOKafkaConnection:
        lost = self._client._on_connection_closed  # noqa: SLF001  # as above
        connection = CarefulConnection(host, port, on_close=lost, **self._options)
        connection._loop = DialingLoop(self._dialer)  # noqa: SLF001  # it opens its connection by its loop
        with conversation(KafkaError):
            await connection.connect()
        return connection


class CarefulConnection(AIOKafkaConnection):  # type: ignore[misc]  # the client has no types
    """Ends, without a word in the log, when what it reads cannot be read; computes no more than is usual."""

    def authenticator_scram(self) -> ScramAuthenticator:
        """That of aiokafka, which computes in a thread."""
        return _Scram(
            loop=self._loop,
            sasl_plain_password=self._sasl_plain_password,
            sasl_plain_username=self._sasl_plain_username,
            sasl_mechanism=self._sasl_mechanism,
        )

    @staticmethod
    async def _read(self_ref: Any) -> None:
        with conversation(KafkaError):
            await AIOKafkaConnection._read(self_ref)  # noqa: SLF001  # no public way to it


class _Scram(ScramAuthenticator):  # type: ignore[misc]  # as above
    def create_salted_password(self, salt: bytes, iterations: int) -> None:
        """Raises Unreadable for too many iterations."""
        check(b"%d" % iterations)
        super().create_salted_password(salt, iterations)
