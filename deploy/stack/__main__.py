"""`make stack`: collector, Jaeger and Prometheus on this machine, without containers, until Ctrl-C."""

import signal
import sys
import tempfile
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path

from deploy.stack.processes import ROOT, Ports, Stack, StackFailed, running_stack
from deploy.stack.programs import JUDGES, PROGRAMS, CannotBuild
from deploy.staying import build_all, run_to_its_end, stay, tell

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
            build_all((*PROGRAMS, *JUDGES))
            return 0
        build_all(PROGRAMS)
        return _run(Ports.free() if chosen.free_ports else Ports(), demo=chosen.demo)
    except (CannotBuild, StackFailed) as error:
        tell(str(error))
        return 1


def _run(ports: Ports, *, demo: bool) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="relevo-stack-") as directory,
        running_stack(Path(directory), ports) as stack,
    ):
        if demo:
            return _demo(stack)
        stay(greeting=_GREETING.format(stack=stack), file=ADDRESSES, addresses=stack.as_json())
    return 0


def _demo(stack: Stack) -> int:
    file = stack.directory / "stack.json"
    file.write_text(stack.as_json())
    status = run_to_its_end([sys.executable, "-m", "service", "demo", "--stack", str(file)])
    if sys.stdin.isatty():
        tell(_LOOK_AROUND.format(stack=stack))
        sys.stdin.readline()
    return status


if __name__ == "__main__":
    sys.exit(main())
