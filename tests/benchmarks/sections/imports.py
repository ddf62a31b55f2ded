"""Files of messages in and out: what a process holds of 200 MB against 10 MB, and how quick it takes them in."""

from dataclasses import dataclass

from tests.benchmarks import relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import Database
from tests.benchmarks.importing import exported, imported
from tests.benchmarks.measure import Figures, Result, Row, Target, Turn, check, raw

SMALL, LARGE = 10, 200  # MB
ENDPOINT = "http://127.0.0.1:9/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passed:
    """The largest resident sets of a process that took a file in and of one that gave it out, and `speed` after it."""

    lines: int
    importing: float
    exporting: float
    speed: Turn


def measure(bench: Bench) -> list[Row]:
    """Each file through processes of its own, so that none has another's memory."""
    line_bytes, timed = bench.plan.size(4, 32) * 1024, bench.plan.size(20_000, 4_000)
    with bench.database("imports") as used:
        small, large = (_passed(used, megabytes * 2**20, line_bytes, timed) for megabytes in (SMALL, LARGE))
    speed = Figures((small.speed, large.speed))
    return [
        _peak(f"mb_at_{SMALL}mb", small.importing, f"{small.lines:,} lines imported", SMALL),
        _peak(f"mb_at_{LARGE}mb", large.importing, f"{large.lines:,} lines imported", LARGE),
        _peak(f"export_mb_at_{SMALL}mb", small.exporting, f"{small.lines:,} lines exported", SMALL),
        _peak(f"export_mb_at_{LARGE}mb", large.exporting, f"{large.lines:,} lines exported", LARGE),
        Result(
            section="import",
            key="lines_per_second",
            value=speed.median,
            target=Target(must=1_000, aim=4_000),
            meaning=f"lines of 1 KB a second, for one endpoint, at {speed.cpu_us:.0f} µs",
            promise="a row for every line",
            raw=raw({"lines": speed}),
            runs=len(speed.turns),
            spread=speed.spread,
        ),
    ]


def _passed(used: Database, size: int, line_bytes: int, timed: int) -> _Passed:
    app_id, another = used.add_application(ENDPOINT), used.add_application(ENDPOINT)
    lines = size // line_bytes
    with relevo.serving(used, relevo.SILENT) as process:
        imported(used, process, app_id, lines, payload_bytes=line_bytes)
        importing = process.peak_mb
        speed = imported(used, process, another, timed)
    with relevo.serving(used, relevo.SILENT) as process:
        check(exported(process, app_id) == lines, f"{lines} lines are exported")
        exporting = process.peak_mb
    return _Passed(lines=lines, importing=importing, exporting=exporting, speed=speed)


def _peak(key: str, value: float, promise: str, megabytes: int) -> Result:
    return Result(
        section="import",
        key=key,
        value=value,
        target=Target(must=220, aim=160, better="lower"),
        meaning=f"MB resident at most, one process, a file of {megabytes} MB",
        promise=promise,
    )
