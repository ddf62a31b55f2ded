"""How each broker is configured and started: one function for each, with all of its data in a directory."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.brokers import programs
from deploy.brokers.processes import Broker, BrokerFailed
from deploy.stack.programs import build

USER = "relevo"
PASSWORD = "a-password-for-loopback"  # noqa: S105  # of programs that only this machine reaches
BUCKET = "relevo"
REGION = "eu-central-1"

# Without the wrapper of Debian's, which changes to another user.
_RABBITMQ_HOMES = (Path("/usr/lib/rabbitmq/bin"), Path("/usr/sbin"), Path("/usr/local/sbin"))
_RABBITMQ = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
log.file = false
log.console = true
log.console.level = warning
"""
# For a process that lives for minutes: little memory, and no time for the second compiler.
_JAVA = ("java", "-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_CLUSTER = "cmVsZXZvLWJyb2tlcnMtMQ"


def nats(directory: Path, *, port: int) -> Broker:
    """A NATS server with JetStream and one user."""
    command = [str(build(programs.NATS)), "--addr", "127.0.0.1", "--port", str(port)]
    command += ["--jetstream", "--store_dir", str(directory / "data"), "--user", USER, "--pass", PASSWORD]
    return Broker(name="nats-server", command=command, directory=directory, port=port)


def kafka(directory: Path, *, plain: int, sasl: int, controller: int) -> Broker:
    """A Kafka of one node: `plain` without a password, `sasl` with one."""
    ours = programs.KAFKA.ours
    properties = directory / "server.properties"
    properties.write_text(
        (ours / "server.properties")
        .read_text()
        .format(plain=plain, sasl=sasl, controller=controller, password=PASSWORD, data=directory / "data")
    )
    format_kafka(properties, directory)
    return kafka_node(properties, directory, port=plain)


def kafka_node(properties: Path, directory: Path, *, port: int, environ: Mapping[str, str] | None = None) -> Broker:
    """A Kafka with these properties, whose files are made."""
    command = [*java_of_kafka(), "kafka.Kafka", str(properties)]
    return Broker(name="kafka", command=command, directory=directory, port=port, environ=environ or {})


def java_of_kafka() -> list[str]:
    """The command that runs a class of Kafka's."""
    log = programs.KAFKA.ours / "log4j2.properties"
    return [*_JAVA, f"-Dlog4j2.configurationFile=file:{log}", "-cp", f"{build(programs.KAFKA)}/*"]


def rabbitmq(directory: Path, *, port: int, distribution: int, names: int) -> Broker:
    """RabbitMQ as a node of its own, beside any that runs as a service: its own name server (`names`), cookie, data."""
    (directory / "rabbitmq.conf").write_text(_RABBITMQ.format(port=port, user=USER, password=PASSWORD))
    (directory / "enabled_plugins").write_text("[].")
    environ = {
        "HOME": str(directory),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"relevo-{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(directory / "data"),
        "RABBITMQ_LOG_BASE": str(directory),
        "RABBITMQ_PID_FILE": str(directory / "rabbitmq.pid"),
    }
    command = [_rabbitmq_server()]
    return Broker(name="rabbitmq", command=command, directory=directory, port=port, environ=environ, helpers=[["epmd"]])


def s3(directory: Path, *, port: int) -> Broker:
    """An S3-compatible server with one bucket, `BUCKET`, whose objects are files."""
    (directory / "data" / BUCKET).mkdir(parents=True, exist_ok=True)
    command = [str(build(programs.S3)), "--port", f"127.0.0.1:{port}", "--region", REGION, "--quiet"]
    command += ["posix", "--nometa", str(directory / "data")]
    environ = {"ROOT_ACCESS_KEY": USER, "ROOT_SECRET_KEY": PASSWORD}
    return Broker(name="versitygw", command=command, directory=directory, port=port, environ=environ)


def format_kafka(properties: Path, directory: Path, *, environ: Mapping[str, str] | None = None) -> None:
    """Make Kafka's own files, where its data are not there yet. Raises BrokerFailed."""
    if (directory / "data").exists():
        return
    command = [*java_of_kafka(), "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(properties)]
    env = {**os.environ, **(environ or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)  # noqa: S603  # our own program
    if done.returncode:
        raise BrokerFailed(f"Kafka could not make its files:\n{done.stdout}{done.stderr}")


def _rabbitmq_server() -> str:
    path = os.pathsep.join([*map(str, _RABBITMQ_HOMES), os.environ.get("PATH", "")])
    found = shutil.which("rabbitmq-server", path=path)
    if found is None:
        raise BrokerFailed("RabbitMQ is not installed (apt-get install rabbitmq-server, or the like).")
    return found
