"""What `make bench` says of what it measured."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import report
from tests.benchmarks.measure import Result, Target
from tests.benchmarks.profiling import packages


def test_the_document_shows_the_committed_run() -> None:
    document = report.DOCUMENT.read_text()

    shown = document.split(report.BEGIN)[1].split(report.END)[0].strip()

    assert shown == report.markdown(json.loads(report.BASELINE.read_text()))


@pytest.mark.parametrize(
    ("better", "value", "said"),
    [
        ("higher", 0.81, []),
        ("higher", 0.79, ["accept.vs_noop was 1 in the baseline and is 0.79 now"]),
        ("lower", 1.24, []),
        ("lower", 1.26, ["accept.vs_noop was 1 in the baseline and is 1.26 now"]),
        ("higher", 0.0, ["accept.vs_noop was 1 in the baseline and is 0 now"]),
    ],
)
def test_what_became_a_quarter_worse_is_told(better: str, value: float, said: list[str]) -> None:
    target = Target(must=1, better="higher" if better == "higher" else "lower")
    row = Result(section="accept", key="vs_noop", value=value, target=target, meaning="", promise="")

    assert report.regressions([row], {"accept": {"vs_noop": 1}}) == said


def test_the_time_of_the_standard_library_is_its_callers_and_waiting_costs_nothing() -> None:
    site, std, ours = "/v/site-packages", "/p/lib/python3.11", Path.cwd()
    stacks = "\n".join(
        [
            f"main ({ours}/service/__main__.py:1);run ({std}/asyncio/runners.py:2);get ({site}/uvicorn/http.py:3) 3",
            f"main ({ours}/service/__main__.py:1);take ({ours}/service/api/app.py:2);dumps ({std}/json/it.py:3) 2",
            f"main ({ours}/service/main.py:1);do ({ours}/service/commands/a.py:1);run ({std}/asyncio/runners.py:2) 5",
            f"boot ({std}/threading.py:1);wait ({std}/threading.py:2) 90",
            f"boot ({std}/threading.py:1);_worker ({std}/concurrent/futures/thread.py:2) 90",
        ]
    )

    assert [(cost.where, cost.share) for cost in packages(stacks)] == [
        ("event loop", 0.5),
        ("uvicorn", 0.3),
        ("service/api", 0.2),
    ]
