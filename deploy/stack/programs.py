"""The programs of the stack, pinned, built from their Go modules once and cached outside the tree."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

MANIFEST = Path(__file__).with_name("collector-builder.yaml")


class CannotBuild(Exception):
    """A program could not be built; the text says what was wanted and where to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FromModule:
    """A program built in its module's own source, so that the module's go.mod and go.sum pin all that goes in."""

    name: str
    module: str
    version: str
    package: str
    tags: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FromManifest:
    """A collector put together by the official builder."""

    name: str
    builder: FromModule
    manifest: Path


Program = FromModule | FromManifest

BUILDER = FromModule(name="ocb", module="go.opentelemetry.io/collector/cmd/builder", version="v0.165.0", package=".")
COLLECTOR = FromManifest(name="otelcol", builder=BUILDER, manifest=MANIFEST)
# Jaeger 2 still lives in a module without /v2: this tag and v2.13.0 are one commit. Its user interface is not in the
# module; the HTTP API is.
JAEGER = FromModule(name="jaeger", module="github.com/jaegertracing/jaeger", version="v1.76.0", package="./cmd/jaeger")
# Module version v0.316.0 is release 3.16.0. The stack discovers nothing, and what does is most of the program.
PROMETHEUS = FromModule(
    name="prometheus",
    module="github.com/prometheus/prometheus",
    version="v0.316.0",
    package="./cmd/prometheus",
    tags="remove_all_sd",
)
PROMTOOL = FromModule(
    name="promtool",
    module="github.com/prometheus/prometheus",
    version="v0.316.0",
    package="./cmd/promtool",
    tags="remove_all_sd",
)
# What checks the manifests and the compose file; the stack itself needs neither.
KUSTOMIZE = FromModule(name="kustomize", module="sigs.k8s.io/kustomize/kustomize/v5", version="v5.8.2", package=".")
COMPOSE = FromModule(name="docker-compose", module="github.com/docker/compose/v2", version="v2.40.3", package="./cmd")
PROGRAMS: tuple[Program, ...] = (COLLECTOR, JAEGER, PROMETHEUS, PROMTOOL)


def build(program: Program, *, into: Path | None = None) -> Path:
    """The path of the program, which is built if the cache lacks it. CannotBuild when that fails."""
    cache = into or cache_directory()
    built = cache / f"{program.name}-{_fingerprint(program)}" / program.name
    with _only_builder(cache, program.name):
        if not built.exists():
            built.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                _build(program, Path(scratch), cache).replace(built)
    return built


def cache_directory() -> Path:
    """Where programs are kept: in the user's cache, as the XDG base directories have it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relevo" / "stack"


def _fingerprint(program: Program) -> str:
    match program:
        case FromModule():
            return program.version
        case FromManifest():
            return hashlib.sha256(program.manifest.read_bytes()).hexdigest()[:12]
        case _:
            assert_never(program)


def _build(program: Program, scratch: Path, cache: Path) -> Path:
    if shutil.which("go") is None:
        raise CannotBuild(f"{program.name} is built with Go, and there is no `go` on the PATH.")
    target = scratch / program.name
    match program:
        case FromModule():
            source = _source(program, scratch)
            _go(["build", "-trimpath", "-tags", program.tags, "-o", str(target), program.package], at=source)
        case FromManifest():
            source = _generated(program, scratch, build(program.builder, into=cache))
            _go(["build", "-trimpath", "-mod=mod", "-o", str(target), "."], at=source)
        case _:
            assert_never(program)
    return target


def _source(program: FromModule, scratch: Path) -> Path:
    """A writable copy of the module's source."""
    described = _go(["mod", "download", "-json", f"{program.module}@{program.version}"], at=scratch)
    source = scratch / "source"
    shutil.copytree(json.loads(described)["Dir"], source, copy_function=shutil.copyfile)
    return source


def _generated(program: FromManifest, scratch: Path, builder: Path) -> Path:
    """The collector's source.

    The builder's last step, tidying, also asks for what only the components' own tests need, which a module proxy need
    not have: go.mod is complete before that, and the build itself fetches and verifies what goes in.
    """
    shutil.copyfile(program.manifest, scratch / "manifest.yaml")
    command = [str(builder), "--config", "manifest.yaml", "--skip-compilation"]
    done = _captured(command, at=scratch)
    source = scratch / "build"
    if not (source / "go.mod").exists():
        raise CannotBuild(f"{program.name}: {done.stderr or done.stdout}")
    return source


def _go(arguments: list[str], *, at: Path) -> str:
    # A developer goes on working while this takes both cores for minutes.
    polite = ["nice", "-n", "19"] if shutil.which("nice") else []
    done = _captured([*polite, "go", *arguments], at=at)
    if done.returncode:
        raise CannotBuild(f"go {' '.join(arguments)}\n{done.stderr or done.stdout}")
    return done.stdout


def _captured(command: list[str], *, at: Path) -> subprocess.CompletedProcess[str]:
    # A workspace that a module's source comes with names directories that the module leaves out.
    environment = {**os.environ, "GOWORK": "off"}
    return subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # go and its builder


@contextmanager
def _only_builder(cache: Path, name: str) -> Iterator[None]:
    """Two runs at a time build once."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
