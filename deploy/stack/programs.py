"""The programs of the stack, pinned, built from their Go modules once and cached outside the tree."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from deploy.stack.commands import Captured, captured

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
PROGRAMS: tuple[Program, ...] = (COLLECTOR, JAEGER, PROMETHEUS)
JUDGES: tuple[Program, ...] = (PROMTOOL, KUSTOMIZE, COMPOSE)

BUILT_WITHIN = 1500.0  # seconds that one program may take

Tell = Callable[[str], None]


def build(program: Program, *, into: Path | None = None, tell: Tell = lambda _: None) -> Path:
    """The path of the program, which is built if the cache lacks it. CannotBuild when that fails or takes too long.

    `tell` hears what is built, and every half minute that it still is.
    """
    cache = into or cache_directory()
    built = _kept(program, cache)
    with _only_builder(cache, program.name):
        if not built.exists():
            _build_into(built, _Builder(name=program.name, cache=cache, deadline=_deadline(), tell=tell), program)
    return built


def is_built(program: Program) -> bool:
    """Whether the cache has it, so that `build` would not take minutes."""
    return _kept(program, cache_directory()).exists()


def cache_directory() -> Path:
    """Where programs are kept: in the user's cache, as the XDG base directories have it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relevo" / "stack"


def _kept(program: Program, cache: Path) -> Path:
    return cache / f"{program.name}-{_fingerprint(program)}" / program.name


def _fingerprint(program: Program) -> str:
    match program:
        case FromModule():
            return program.version
        case FromManifest():
            return hashlib.sha256(program.manifest.read_bytes()).hexdigest()[:12]
        case _:
            assert_never(program)


def _deadline() -> float:
    return time.monotonic() + BUILT_WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class _Builder:
    """What building one program needs to know."""

    name: str
    cache: Path
    deadline: float
    tell: Tell

    def go(self, arguments: list[str], *, at: Path) -> str:
        """Run `go`; what it wrote to its output."""
        # A developer goes on working while this takes both cores for minutes.
        polite = ["nice", "-n", "19"] if shutil.which("nice") else []
        done = self.run([*polite, "go", *arguments], at=at)
        if done.status:
            raise CannotBuild(f"{self.name}: go {' '.join(arguments)}\n{done.errors or done.output}")
        return done.output

    def run(self, command: list[str], *, at: Path) -> Captured:
        """Run go or its builder until the deadline. CannotBuild then."""
        try:
            return captured(command, at=at, deadline=self.deadline, still=self._still)
        except TimeoutError:
            raise CannotBuild(f"{self.name}: not built within {BUILT_WITHIN:.0f} s: {' '.join(command)}") from None

    def _still(self) -> None:
        self.tell(f"{self.name}: still building, {self.deadline - time.monotonic():.0f} s are left")


def _build_into(built: Path, builder: _Builder, program: Program) -> None:
    if shutil.which("go") is None:
        raise CannotBuild(f"{program.name} is built with Go, and there is no `go` on the PATH.")
    began = time.monotonic()
    builder.tell(f"{program.name}: building {_origin(program)}, for {BUILT_WITHIN / 60:.0f} minutes at most")
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=builder.cache) as scratch:
        _build(program, Path(scratch), builder).replace(built)
    builder.tell(f"{program.name}: built in {time.monotonic() - began:.0f} s")


def _origin(program: Program) -> str:
    match program:
        case FromModule():
            return f"{program.package} of {program.module}@{program.version}"
        case FromManifest():
            return f"the components of {program.manifest.name}"
        case _:
            assert_never(program)


def _build(program: Program, scratch: Path, builder: _Builder) -> Path:
    target = scratch / program.name
    match program:
        case FromModule():
            source = _source(program, scratch, builder)
            builder.go(["build", "-trimpath", "-tags", program.tags, "-o", str(target), program.package], at=source)
        case FromManifest():
            ocb = build(program.builder, into=builder.cache, tell=builder.tell)
            source = _generated(program, scratch, ocb, builder)
            builder.go(["build", "-trimpath", "-mod=mod", "-o", str(target), "."], at=source)
        case _:
            assert_never(program)
    return target


def _source(program: FromModule, scratch: Path, builder: _Builder) -> Path:
    """A writable copy of the module's source."""
    described = builder.go(["mod", "download", "-json", f"{program.module}@{program.version}"], at=scratch)
    source = scratch / "source"
    shutil.copytree(json.loads(described)["Dir"], source, copy_function=shutil.copyfile)
    return source


def _generated(program: FromManifest, scratch: Path, ocb: Path, builder: _Builder) -> Path:
    """The collector's source.

    The builder's last step, tidying, also asks for what only the components' own tests need, which a module proxy need
    not have: go.mod is complete before that, and the build itself fetches and verifies what goes in.
    """
    shutil.copyfile(program.manifest, scratch / "manifest.yaml")
    done = builder.run([str(ocb), "--config", "manifest.yaml", "--skip-compilation"], at=scratch)
    source = scratch / "build"
    if not (source / "go.mod").exists():
        raise CannotBuild(f"{program.name}: {done.errors or done.output}")
    return source


@contextmanager
def _only_builder(cache: Path, name: str) -> Iterator[None]:
    """Two runs at a time build once."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
