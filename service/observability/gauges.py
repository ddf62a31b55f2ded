"""The gauges: what is told from time to time, or asked for, and read whenever metrics are collected."""

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from service.observability.instruments import INSTRUMENTS

Read = Callable[[CallbackOptions], Iterable[Observation]]


class Gauges:
    """One method for each. Where there are several databases, values are told for each `database`."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._up: dict[str | None, bool] = {}
        self._depths: dict[str | None, dict[str, int]] = {}
        self._lags: dict[str | None, dict[str, tuple[int, float]]] = {}
        self._oldest_due_age: dict[str | None, float] = {}
        self._worker: dict[str | None, tuple[int, int]] = {}
        self._breakers: dict[str | None, int] = {}
        self._failing: dict[str | None, dict[str, int]] = {}
        self._source_lags: dict[str, int] = {}
        self._pools: dict[str, tuple[Callable[[], int], Callable[[], int]]] = {}
        self._gauge("relevo.database.up", self._read_up)
        self._gauge("relevo.queue.depth", self._read_depths)
        self._gauge("relevo.queue.oldest_due_age", self._read_age)
        self._gauge("relevo.worker.inflight", self._read_inflight)
        self._gauge("relevo.worker.capacity", self._read_capacity)
        self._gauge("relevo.endpoint.failing", self._read_failing)
        self._gauge("relevo.breaker.open", self._read_breakers)
        self._gauge("relevo.source.lag", self._read_source_lags)
        self._gauge("relevo.pool.size", self._read_pool_sizes)
        self._gauge("relevo.pool.checked_out", self._read_checked_out)
        self._gauge("relevo.destination.lag.messages", self._read_lags)
        self._gauge("relevo.destination.lag.age", self._read_lag_ages)

    def database_up(self, database: str | None, *, up: bool) -> None:
        """Whether the database answered a moment ago."""
        self._up[database] = up

    def streams_sampled(self, lags: Mapping[str, tuple[int, float]], *, database: str | None = None) -> None:
        """By kind, how many messages and seconds the ordered destination is behind that is furthest behind. The same on
        every replica."""
        self._lags[database] = dict(lags)

    def queue_sampled(self, depths: Mapping[str, int], *, oldest_due_age: float, database: str | None = None) -> None:
        """The queue's depth by state, and the age of its oldest due delivery. The same on every replica."""
        self._depths[database] = dict(depths)
        self._oldest_due_age[database] = oldest_due_age

    def worker(self, *, inflight: int, capacity: int, database: str | None = None) -> None:
        """How many attempts this process is making, and how many it can make at once."""
        self._worker[database] = (inflight, capacity)

    def endpoints_failing(self, counts: Mapping[str, int], *, database: str | None = None) -> None:
        """How many endpoints have been failing for longer than each age. The same on every replica."""
        self._failing[database] = dict(counts)

    def source_lag(self, kind: str, lag: int) -> None:
        """How many messages wait at the broker of the source of that kind that lags most, as this process knows."""
        self._source_lags[kind] = lag

    def breakers_open(self, count: int, *, database: str | None = None) -> None:
        """How many circuit breakers of this process are open."""
        self._breakers[database] = count

    def observe_pool(self, pool: str, *, size: Callable[[], int], checked_out: Callable[[], int]) -> None:
        """Read the size and use of a pool of connections, threads or processes whenever metrics are collected."""
        self._pools[pool] = (size, checked_out)

    def _gauge(self, name: str, read: Read) -> None:
        instrument = INSTRUMENTS[name]
        self._meter.create_observable_gauge(name, [read], instrument.unit, instrument.about)

    def _read_up(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(int(up), _of(database)) for database, up in list(self._up.items())]

    def _read_depths(self, _: CallbackOptions) -> Iterable[Observation]:
        for database, depths in list(self._depths.items()):
            for state, depth in depths.items():
                yield Observation(depth, {"state": state} | _of(database))

    def _read_lags(self, _: CallbackOptions) -> Iterable[Observation]:
        for database, lags in list(self._lags.items()):
            for kind, (messages, _seconds) in lags.items():
                yield Observation(messages, {"kind": kind} | _of(database))

    def _read_lag_ages(self, _: CallbackOptions) -> Iterable[Observation]:
        for database, lags in list(self._lags.items()):
            for kind, (_messages, seconds) in lags.items():
                yield Observation(seconds, {"kind": kind} | _of(database))

    def _read_age(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(age, _of(database)) for database, age in list(self._oldest_due_age.items())]

    def _read_inflight(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(inflight, _of(database)) for database, (inflight, _) in list(self._worker.items())]

    def _read_capacity(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(capacity, _of(database)) for database, (_, capacity) in list(self._worker.items())]

    def _read_failing(self, _: CallbackOptions) -> Iterable[Observation]:
        for database, failing in list(self._failing.items()):
            for age, count in failing.items():
                yield Observation(count, {"longer_than": age} | _of(database))

    def _read_breakers(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, _of(database)) for database, count in list(self._breakers.items())]

    def _read_source_lags(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(lag, {"kind": kind}) for kind, lag in list(self._source_lags.items())]

    def _read_pool_sizes(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(size(), {"pool": pool}) for pool, (size, _) in list(self._pools.items())]

    def _read_checked_out(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(checked_out(), {"pool": pool}) for pool, (_, checked_out) in list(self._pools.items())]


def _of(database: str | None) -> dict[str, str]:
    """The label of one of several databases."""
    return {} if database is None else {"database": database}
