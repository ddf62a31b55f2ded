"""The brokers' programs: pinned versions, built or fetched once and cached like those of the stack.

RabbitMQ is not among them: it is Debian's package, which `make` installs.
"""

from pathlib import Path

from deploy.stack.sources import FromMaven, FromModule, Program

NATS = FromModule(name="nats-server", module="github.com/nats-io/nats-server/v2", version="v2.15.2", package=".")
KAFKA = FromMaven(
    name="kafka",
    artifact="org.apache.kafka:kafka_2.13",
    version="4.1.0",
    ours=Path(__file__).parent / "kafka",
)
# It verifies signatures, as Amazon does, and keeps objects as files.
S3 = FromModule(name="versitygw", module="github.com/versity/versitygw", version="v1.8.0", package="./cmd/versitygw")
PROGRAMS: tuple[Program, ...] = (NATS, KAFKA, S3)
