"""Ours and the libraries' lines go one way, with ids and without secrets."""

import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from service.observability.logging import configure_logging
from service.observability.telemetry import Telemetry
from tests.observability.conftest import Lines
from tests.support.otlp import Collector

DETAIL = "Key (uid)=(marker) already exists."


async def test_a_librarys_record_is_the_same_kind_of_line_as_ours(telemetry: Telemetry, lines: Lines) -> None:
    with telemetry.tracer.start_as_current_span("work"), bound_contextvars(correlation_id="order-17"):
        structlog.get_logger("relevo.test").info("ours", number=1)
        logging.getLogger("uvicorn.error").info("the %s's", "library")

    ours, theirs = lines.all
    assert ours["event"] == "ours"
    assert theirs["event"] == "the library's"
    for line in (ours, theirs):
        assert line["level"] == "info"
        assert line["correlation_id"] == "order-17"
        assert {"timestamp", "logger", "trace_id", "span_id"} <= line.keys()
    assert (ours["logger"], theirs["logger"]) == ("relevo.test", "uvicorn.error")


async def test_the_exported_record_has_the_event_as_its_body_and_the_keys_as_attributes(
    telemetry: Telemetry, lines: Lines, collector: Collector
) -> None:
    with telemetry.tracer.start_as_current_span("work"):
        structlog.get_logger("relevo.test").warning("ours", number=1, nothing=None)

    collector.wait_for(lambda seen: bool(seen.logs))
    (record,) = collector.logs
    line = lines.one("ours")
    assert (record.body, record.logger, record.severity) == ("ours", "relevo.test", "WARNING")
    assert (record.trace_id, record.span_id) == (line["trace_id"], line["span_id"])
    assert record.attributes == {"number": 1}


async def test_an_exceptions_stack_is_told_and_its_text_is_not(lines: Lines) -> None:
    def stumble() -> None:
        raise ValueError(DETAIL)

    try:
        try:
            stumble()
        except ValueError as cause:
            raise LookupError(DETAIL) from cause
    except LookupError:
        logging.getLogger("a.library").exception("it failed")

    line = lines.one("it failed")
    assert line["exception.type"] == "LookupError"
    assert line["exception.stacktrace"].index("ValueError") < line["exception.stacktrace"].index("LookupError")
    assert "marker" not in lines.getvalue()


async def test_warnings_are_lines_too(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("beware", stacklevel=1)

    (line,) = lines.all
    assert line["logger"] == "py.warnings"
    assert "beware" in line["event"]


def test_the_level_changes_while_the_process_runs() -> None:
    lines = Lines()
    configured = configure_logging(stream=lines)
    log = structlog.get_logger("relevo.test")

    log.debug("before")
    configured.set_level("debug")
    log.debug("after")
    logging.getLogger("a.library").debug("after")
    logging.getLogger("httpx").info("POST https://hooks.example.com/marker")

    assert [line["event"] for line in lines.all] == ["after", "after"]
    assert configured.level == "debug"
    with pytest.raises(ValueError, match="choose from debug, info"):
        configured.set_level("loud")


def test_a_person_at_a_terminal_gets_coloured_lines() -> None:
    class Terminal(Lines):
        def isatty(self) -> bool:
            return True

    configure_logging(stream=(terminal := Terminal()))
    structlog.get_logger("relevo.test").info("ours", number=1)

    assert "\x1b[" in terminal.getvalue()
    assert "ours" in terminal.getvalue()


def test_every_line_of_a_process_is_json() -> None:
    program = """
import logging, structlog, warnings
from service.observability.logging import configure_logging
configure_logging()
structlog.get_logger("relevo").info("ours", when=object())
logging.getLogger("uvicorn").info("theirs")
warnings.warn("beware")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger().exception("failed")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )

    written = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["level"] for line in written] == ["info", "info", "warning", "error"]
    assert not ended.stderr
