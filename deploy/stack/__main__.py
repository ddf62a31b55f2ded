"""`make stack`: collector, Jaeger and Prometheus on this machine, without containers, until Ctrl-C."""

import signal
import sys
import tempfile
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path

from deploy.stack.processes import Ports, Stack, StackFailed, running_stack
from deploy.stack.programs import PROGRAMS, CannotBuild, build, cache_directory

_GREETING = """\
Jaeger      {stack.jaeger}/api/traces?service=relevo
Prometheus  {stack.prometheus}
Logs        {stack.logs}
Collector   {stack.otlp_grpc} (gRPC), {stack.otlp_http} (HTTP)

To send to it:
  OTEL_EXPORTER_OTLP_ENDPOINT={stack.otlp_grpc} OTEL_EXPORTER_OTLP_PROTOCOL=grpc relevo serve

Ctrl-C stops it; what it holds is lost then.
"""


def main() -> int:
    """Build what is missing, then run until told to stop."""
    parser = ArgumentParser("stack", description=__doc__)
    parser.add_argument("--free-ports", action="store_true", help="any ports that are free, instead of the usual ones")
    parser.add_argument("--build-only", action="store_true", help="build and cache the programs, start nothing")
    chosen = parser.parse_args()
    try:
        _build()
        if not chosen.build_only:
            _run(Ports.free() if chosen.free_ports else Ports())
    except (CannotBuild, StackFailed) as error:
        _tell(str(error))
        return 1
    return 0


def _build() -> None:
    _tell(f"Programs are kept in {cache_directory()}; building one takes minutes, once.")
    for program in PROGRAMS:
        _tell(f"{program.name}: {build(program)}")


def _run(ports: Ports) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="relevo-stack-") as directory,
        running_stack(Path(directory), ports) as stack,
    ):
        _greet(stack)
        while True:
            signal.pause()


def _greet(stack: Stack) -> None:
    sys.stdout.write(_GREETING.format(stack=stack))
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
