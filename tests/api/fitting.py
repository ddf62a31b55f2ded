"""Whether all that one JSON schema writes is what another one reads: the document against the official SDK's models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A writer's and a reader's schema at one place, with the definitions that each refers to.

    The SDK is the reader of answers and the writer of requests: what it names there, the other side must name too.
    """

    written: Schema
    read: Schema
    sdk_reads: bool
    at: str

    def misfits(self) -> Iterator[str]:
        """What the one may write that the other does not read, each with its place."""
        for written in _alternatives(self.written, nullable=self.sdk_reads):
            found = [list(self._misfits_of(written, read)) for read in _alternatives(self.read, nullable=True)]
            yield from min(found, key=len)

    def _misfits_of(self, written: Schema, read: Schema) -> Iterator[str]:
        if "type" not in read and "enum" not in read:
            return  # reads anything
        if written.get("type") != read.get("type") and (written.get("type"), read.get("type")) != ("integer", "number"):
            yield f"{self.at}: {written.get('type')} is written, {read.get('type')} is read"
            return
        yield from self._misfits_of_values(written, read)
        if "items" in read and written.get("maxItems") != 0:
            yield from self._within(written.get("items", {}), read["items"], "[]")
        yield from self._misfits_of_members(written, read)

    def _misfits_of_values(self, written: Schema, read: Schema) -> Iterator[str]:
        if "enum" in read and not set(written.get("enum", [None])) <= set(read["enum"]):
            yield f"{self.at}: {written.get('enum', 'anything')} is written, {read['enum']} is read"
        if read.get("format") == "date-time" != written.get("format"):
            yield f"{self.at}: any text is written, a time is read"

    def _misfits_of_members(self, written: Schema, read: Schema) -> Iterator[str]:
        ours, theirs = (written, read) if self.sdk_reads else (read, written)
        if "properties" in ours:
            for name in theirs.get("properties", {}).keys() - ours["properties"].keys():
                yield f"{self.at}.{name}: is not in the document"
        for name in set(read.get("required", ())) - set(written.get("required", ())):
            if "properties" in written:
                yield f"{self.at}.{name}: may be left out, and is required"
        members = written.get("properties", {})
        for name in members.keys() & read.get("properties", {}).keys():
            yield from self._within(members[name], read["properties"][name], f".{name}")
        every = read.get("additionalProperties")
        if isinstance(every, dict) and isinstance(written.get("additionalProperties"), dict):
            yield from self._within(written["additionalProperties"], every, "{}")

    def _within(self, written: Schema, read: Schema, step: str) -> Iterator[str]:
        yield from Fit(written=written, read=read, sdk_reads=self.sdk_reads, at=self.at + step).misfits()


def resolved(schema: Any, definitions: Schema, *, prefix: str) -> Any:
    """The schema with what it refers to in its place."""
    match schema:
        case {"$ref": str(reference)}:
            return resolved(definitions[reference.removeprefix(prefix)], definitions, prefix=prefix)
        case dict(members):
            return {name: resolved(member, definitions, prefix=prefix) for name, member in members.items()}
        case list(items):
            return [resolved(item, definitions, prefix=prefix) for item in items]
    return schema


def _alternatives(schema: Schema, *, nullable: bool) -> list[Schema]:
    # An optional field of the SDK is null when it is unset, and then it is not sent.
    found = [_plain(each) for each in schema.get("anyOf") or schema.get("oneOf") or [schema]]
    return [each for each in found if nullable or each.get("type") != "null"]


def _plain(schema: Schema) -> Schema:
    return schema | {"enum": [schema["const"]]} if "const" in schema else schema
