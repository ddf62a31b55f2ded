"""A Kubernetes API server that takes everything and runs nothing: there are no controllers and no nodes."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.stack import programs
from deploy.stack.processes import Ports
from tests.stack.relevo import eventually

TOKEN = "whoever-has-this-may-do-everything"  # of a server on loopback that lives for a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running one."""

    kubeconfig: Path

    def kubectl(self, *arguments: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        """What came of a command."""
        return self._run([str(programs.build(programs.KUBECTL)), *arguments], given)

    def helm(self, *arguments: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        """What came of a command."""
        return self._run([str(programs.build(programs.HELM)), *arguments], given)

    def _run(self, command: Sequence[str], given: str | None) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(command, env=environment, input=given, capture_output=True, text=True, check=False)


@contextmanager
def running_cluster(directory: Path) -> Iterator[Cluster]:
    """An API server with an etcd of its own, ready."""
    ports = Ports.free()
    etcd, peers, server = ports.otlp_grpc, ports.otlp_http, ports.jaeger_http
    cluster = Cluster(kubeconfig=_kubeconfig(directory, server))
    with ExitStack() as started:
        for name, command in (("etcd", _etcd(directory, etcd, peers)), ("api", _server(directory, etcd, server))):
            log = started.enter_context((directory / f"{name}.log").open("wb"))
            process = started.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
            started.callback(process.terminate)
        eventually(
            lambda: cluster.kubectl("get", "--raw", "/readyz").stdout == "ok",
            within=300,
            else_tell=lambda: (directory / "api.log").read_text()[-2000:],
        )
        yield cluster


def _etcd(directory: Path, clients: int, peers: int) -> Sequence[str]:
    here, there = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
    return [
        "etcd",
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={here}",
        f"--advertise-client-urls={here}",
        f"--listen-peer-urls={there}",
        f"--initial-advertise-peer-urls={there}",
        f"--initial-cluster=default={there}",
    ]


def _server(directory: Path, etcd: int, port: int) -> Sequence[str]:
    key, tokens = directory / "accounts.key", directory / "tokens.csv"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], capture_output=True, check=True)
    tokens.write_text(f'{TOKEN},admin,1,"system:masters"\n')
    return [
        str(programs.build(programs.KUBERNETES)),
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--cert-dir={directory / 'certificates'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
    ]


def _kubeconfig(directory: Path, port: int) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "it", "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}}
        ],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "admin"}}],
        "current-context": "it",
    }
    file = directory / "kubeconfig.json"
    file.write_text(json.dumps(document))
    return file
