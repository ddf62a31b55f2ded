"""`make brokers`: NATS, Kafka, RabbitMQ and an S3-compatible server on this machine, until Ctrl-C."""

import signal
import sys
import tempfile
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path

from deploy.brokers.processes import BrokerFailed
from deploy.brokers.programs import PROGRAMS
from deploy.brokers.together import Brokers, Ports, running_brokers
from deploy.stack.processes import ROOT
from deploy.stack.programs import CannotBuild
from deploy.staying import build_all, run_to_its_end, stay, tell

# The file that `relevo demo --brokers` reads by default.
ADDRESSES = ROOT / "build" / "brokers.json"

_GREETING = """\
NATS      {0.nats} (JetStream)
Kafka     {0.kafka}, and {0.kafka_sasl} with a password (SASL PLAIN)
RabbitMQ  {0.rabbitmq}
S3        {0.s3}, bucket {0.bucket}, region {0.region}

User and access key: {0.user}. Password and secret key: {0.password}

`relevo demo --brokers` uses them. Relevo calls loopback only if it is told to: RELEVO_EGRESS_ALLOW=127.0.0.0/8

Ctrl-C stops them and deletes their data.
"""


def main() -> int:
    """Build the missing programs, then run them until Ctrl-C."""
    parser = ArgumentParser("brokers", description=__doc__)
    parser.add_argument("--free-ports", action="store_true", help="any ports that are free, instead of the usual ones")
    parser.add_argument("--build-only", action="store_true", help="build and cache the programs; no more")
    parser.add_argument("--demo", action="store_true", help="run `relevo demo --brokers`, and stop them then")
    chosen = parser.parse_args()
    try:
        build_all(PROGRAMS)
        return 0 if chosen.build_only else _run(Ports.free() if chosen.free_ports else Ports(), demo=chosen.demo)
    except (CannotBuild, BrokerFailed) as error:
        tell(str(error))
        return 1


def _run(ports: Ports, *, demo: bool) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tell("The brokers are starting.")
    with (
        suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="relevo-brokers-") as directory,
        running_brokers(Path(directory), ports) as brokers,
    ):
        if demo:
            return _demo(brokers, Path(directory) / "brokers.json")
        stay(greeting=_GREETING.format(brokers), file=ADDRESSES, addresses=brokers.as_json())
    return 0


def _demo(brokers: Brokers, file: Path) -> int:
    file.write_text(brokers.as_json())
    return run_to_its_end([sys.executable, "-m", "service", "demo", "--brokers", str(file)])


if __name__ == "__main__":
    sys.exit(main())
