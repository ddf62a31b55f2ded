"""Who takes part: Relevo always, another checkout of it when asked for, and the peers that the environment names."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.benchmarks import database, relevo
from tests.benchmarks.peers.outpost_api import OutpostApi
from tests.benchmarks.peers.scenarios import Scenario
from tests.benchmarks.peers.svix_api import SvixApi
from tests.benchmarks.peers.usage import Trees


class Api(Protocol):
    """How a contender is spoken to."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    def prepare(self, scenario: Scenario, receiver: str) -> list[str]:
        """Set a scenario up through the API; the requests to send."""
        ...


# The variable with a peer's address, whose name begins the others'.
_PEERS: Mapping[str, tuple[str, Callable[..., Api]]] = {
    "PEER_SVIX": ("svix", SvixApi),
    "PEER_OUTPOST": ("outpost", OutpostApi),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A running server, and the processes that are its own and its databases'."""

    name: str
    api: Api
    service: Trees
    databases: Trees

    @property
    def worked(self) -> float:
        """Seconds of processor time that all of it has used."""
        return self.service.worked + self.databases.worked


@contextmanager
def contenders(
    telemetry: Mapping[str, str], before: Path | None, environ: Mapping[str, str], *, processes: int | None = None
) -> Iterator[list[Contender]]:
    """All of them, running. The other checkout comes first, since the others' ratios are to the first. With `processes`
    this one takes part twice: as one process, and as so many."""
    with ExitStack() as stack:
        ours = [] if before is None else [stack.enter_context(_relevo("before", telemetry, before))]
        ours.append(stack.enter_context(_relevo("relevo", telemetry)))
        if processes is not None:
            settings = {**telemetry, "RELEVO_PROCESSES": str(processes)}
            ours.append(stack.enter_context(_relevo(f"relevo x {processes}", settings)))
        yield [*ours, *peers(environ)]


def peers(environ: Mapping[str, str]) -> Iterator[Contender]:
    """Those whose address is given."""
    for variable, (name, api) in _PEERS.items():
        if url := environ.get(variable):
            yield Contender(
                name=name,
                api=api(url=url, token=environ[f"{variable}_TOKEN"]),
                service=Trees(_pids(environ, f"{variable}_PIDS")),
                databases=Trees(_pids(environ, f"{variable}_DATABASE_PIDS")),
            )


@contextmanager
def _relevo(name: str, settings: Mapping[str, str], tree: Path | None = None) -> Iterator[Contender]:
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relevo-bench-")))
        process = stack.enter_context(relevo.embedded(data, settings, tree=tree))
        databases = (relevo.postmaster(data),)
        yield Contender(
            name=name,
            api=SvixApi(url=process.url, token=database.token()),
            service=Trees((process.pid,), without=databases),
            databases=Trees(databases),
        )


def _pids(environ: Mapping[str, str], variable: str) -> tuple[int, ...]:
    return tuple(map(int, environ.get(variable, "").replace(",", " ").split()))
