"""What is measured: who sends what to whom, and how fast."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`applications` of so many `endpoints`. `typed` endpoints want an event type each, others every message."""

    name: str
    applications: int = 1
    endpoints: int = 1
    typed: bool = False

    @property
    def event_types(self) -> list[str]:
        """One that all endpoints want, or one for each endpoint."""
        return [f"bench.{nth}" for nth in range(self.endpoints)] if self.typed else ["bench.all"]

    @property
    def wanted(self) -> list[str]:
        """The event type of each endpoint of an application."""
        return self.event_types if self.typed else self.event_types * self.endpoints

    @property
    def fan_out(self) -> int:
        """How many endpoints get a message."""
        return 1 if self.typed else self.endpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Closed, or open at a `rate`. The seconds of the `warm_up` are left out of accepted/s and of no other figure."""

    name: str
    connections: int
    rate: float | None = None
    warm_up: float = 0.0

    def __str__(self) -> str:
        return f"{self.connections} connections" if self.rate is None else f"{self.rate:.0f} messages/s"


SCENARIOS = (
    Scenario(name="one"),
    Scenario(name="fifty", endpoints=50, typed=True),
    Scenario(name="fanout", applications=10, endpoints=5),
)
CLOSED = Loop(name="closed", connections=32, warm_up=0.5)
OPEN = Loop(name="open", connections=64, rate=200.0)
QUIET = Loop(name="quiet", connections=4, rate=1.0)
QUIET_SECONDS = 2.0  # at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A scenario in a loop, `turns` times of so many seconds. `exported`: Relevo exports all its telemetry."""

    scenario: Scenario
    loop: Loop
    turns: int
    seconds: float
    exported: bool

    @property
    def name(self) -> str:
        """`scenario.loop`, or `quiet`."""
        return QUIET.name if self.loop is QUIET else f"{self.scenario.name}.{self.loop.name}"


def chosen(
    scenarios: Collection[str], loops: Collection[str], *, turns: int, seconds: float, exported: bool
) -> list[Measurement]:
    """The measurements of those names. `quiet` is one endpoint in a loop of its own, and always exported."""
    found = [
        Measurement(scenario=scenario, loop=loop, turns=turns, seconds=seconds, exported=exported)
        for scenario in SCENARIOS
        for loop in (CLOSED, OPEN)
        if scenario.name in scenarios and loop.name in loops
    ]
    if QUIET.name in scenarios:
        long = max(seconds, QUIET_SECONDS)
        found.append(Measurement(scenario=SCENARIOS[0], loop=QUIET, turns=turns, seconds=long, exported=True))
    return found
