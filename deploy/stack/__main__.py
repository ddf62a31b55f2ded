"""`make stack`: collector, Jaeger and Prometheus on this machine, without containers, until Ctrl-C."""

import signal
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.stack.processes import ROOT, Ports, Stack, StackFailed, running_stack
from deploy.stack.programs import JUDGES, PROGRAMS, CannotBuild, Program, build, cache_directory

# The file that `relevo demo --stack` reads by default.
ADDRESSES = ROOT / "build" / "stack.json"

_GREETING = """\
Jaeger      {stack.jaeger}/search?service=relevo
Prometheus  {stack.prometheus}
Logs        {stack.logs}
Collector   {stack.otlp_grpc} (gRPC), {stack.otlp_http} (HTTP)

Send telemetry to it:
  relevo demo --stack
  OTEL_EXPORTER_OTLP_ENDPOINT={stack.otlp_grpc} OTEL_EXPORTER_OTLP_PROTOCOL=grpc relevo serve

Ctrl-C stops it and deletes its data.
"""
_LOOK_AROUND = """
Jaeger      {stack.jaeger}/search?service=relevo
Prometheus  {stack.prometheus}/query

The stack stays up for a look around. Enter stops it.
"""


def main() -> int:
    """Build the missing programs, then run them until Ctrl-C or until the demo is over."""
    parser = ArgumentParser("stack", description=__doc__)
    parser.add_argument("--free-ports", action="store_true", help="any ports that are free, instead of the usual ones")
    parser.add_argument("--demo", action="store_true", help="run `relevo demo --stack`; at a terminal, wait for Enter")
    parser.add_argument("--build-only", action="store_true", help="build and cache all that is run or tests; no more")
    chosen = parser.parse_args()
    try:
        if chosen.build_only:
            _build((*PROGRAMS, *JUDGES))
            return 0
        _build(PROGRAMS)
        return _run(Ports.free() if chosen.free_ports else Ports(), demo=chosen.demo)
    except (CannotBuild, StackFailed) as error:
        _tell(str(error))
        return 1


def _build(wanted: tuple[Program, ...]) -> None:
    _tell(f"Programs are kept in {cache_directory()}; building one takes minutes, once.")
    for program in wanted:
        _tell(f"{program.name}: {build(program, tell=_tell)}")


def _run(ports: Ports, *, demo: bool) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="relevo-stack-") as directory,
        running_stack(Path(directory), ports) as stack,
    ):
        return _demo(stack) if demo else _wait(stack)
    return 0


def _demo(stack: Stack) -> int:
    file = stack.directory / "stack.json"
    file.write_text(stack.as_json())
    command = [sys.executable, "-m", "service", "demo", "--stack", str(file)]
    status = subprocess.run(command, check=False).returncode  # noqa: S603  # ourselves
    if sys.stdin.isatty():
        _tell(_LOOK_AROUND.format(stack=stack))
        sys.stdin.readline()
    return status


def _wait(stack: Stack) -> int:
    with _announced(stack):
        sys.stdout.write(_GREETING.format(stack=stack))
        sys.stdout.flush()
        while True:
            signal.pause()


@contextmanager
def _announced(stack: Stack) -> Iterator[None]:
    ADDRESSES.parent.mkdir(exist_ok=True)
    ADDRESSES.write_text(stack.as_json())
    try:
        yield
    finally:
        ADDRESSES.unlink(missing_ok=True)


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
