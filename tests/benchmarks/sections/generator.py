"""The load generator against a server that does next to nothing: how far it is from being what is measured."""

from tests.benchmarks import load, processes, wire
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import SIGNING_KEY
from tests.benchmarks.load import Job
from tests.benchmarks.measure import Result, Row, Target, Turn, check, in_turns, raw


def measure(bench: Bench) -> list[Row]:
    """Requests of 1 KB that the generator gets answered."""
    with processes.listening("receiver", SIGNING_KEY.hex()) as receiver:

        def drive() -> Turn:
            processes.exchange(receiver.port, "POST", "/forget")
            job = Job(port=receiver.port, requests=[wire.post("/", "x" * 1024)], seconds=bench.plan.seconds)
            done = load.run(job)  # here it may be as busy as it can
            counted = receiver.ask("GET", "/count")
            check(counted == done.accepted, f"{done.accepted} calls were answered, {counted} arrived")
            return Turn(done.per_second)

        figures = in_turns(bench.plan.turns, {"generator": drive})["generator"]
    return [
        Result(
            section="generator",
            key="per_second",
            value=figures.median,
            target=Target(must=10_000, aim=20_000),
            meaning="requests/s against a server that only counts: far above anything measured below",
            promise="every call counted",
            raw=raw({"generator": figures}),
            runs=bench.plan.turns,
            spread=figures.spread,
        )
    ]
