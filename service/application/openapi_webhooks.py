"""Reads event types from the webhooks of an OpenAPI document. Pure, and slow for large documents, which go to a
process."""

from collections.abc import Hashable, Iterator
from typing import Any

import yaml

from service.application import exact_json, json_schemas
from service.domain.errors import UnusableSpecification
from service.domain.event_types import NewEventType
from service.domain.limits import MAX_EVENT_TYPES

VERSION = "1"
MAX_REFERENCES = 20
_METHODS = ("post", "put", "patch", "get", "delete")
_COMPONENTS = "#/components/schemas/"
_DEFINITIONS = "#/definitions/"


def read(text: str) -> list[NewEventType]:
    """The event types of a document in YAML or JSON. Raises UnusableSpecification."""
    try:
        document = exact_json.read(text)
    except ValueError:
        document = _yaml(text)
    return described(document)


def described(document: Any) -> list[NewEventType]:
    """The event types of a document, one for each of its webhooks. Raises UnusableSpecification."""
    if not isinstance(document, dict):
        raise UnusableSpecification("An OpenAPI document is an object.")
    webhooks = document.get("webhooks") or document.get("x-webhooks") or {}
    if not isinstance(webhooks, dict):
        raise UnusableSpecification("`webhooks` has to be an object, with a path item for each name.")
    if len(webhooks) > MAX_EVENT_TYPES:
        raise UnusableSpecification(f"A document has at most {MAX_EVENT_TYPES:,} webhooks.")
    try:
        return [_event_type(name, item, document) for name, item in webhooks.items()]
    except RecursionError:
        raise UnusableSpecification("The document is nested too deep.") from None


def _event_type(name: str, item: Any, document: dict[str, Any]) -> NewEventType:
    operation = _operation(_resolved(item, document))
    schema = _schema(operation, document)
    tags = operation.get("tags")
    return NewEventType(
        name=name,
        description=str(operation.get("description") or operation.get("summary") or ""),
        deprecated=operation.get("deprecated") is True,
        schemas=schema,
        group_name=str(tags[0]) if isinstance(tags, list) and tags else None,
    )


def _operation(item: Any) -> dict[str, Any]:
    operations = [item[method] for method in _METHODS if method in item] if isinstance(item, dict) else []
    if not operations or not isinstance(operations[0], dict):
        raise UnusableSpecification("A webhook needs an operation, such as `post`.")
    return operations[0]


def _schema(operation: dict[str, Any], document: dict[str, Any]) -> str | None:
    body = _resolved(operation.get("requestBody"), document)
    content = body.get("content") if isinstance(body, dict) else None
    kinds = content if isinstance(content, dict) else {}
    media = next((kinds[kind] for kind in kinds if "json" in str(kind)), None)
    schema = media.get("schema") if isinstance(media, dict) else None
    if not isinstance(schema, dict):
        return None
    bundled = _bundled(schema, document) | ({"examples": examples} if (examples := _examples(media)) else {})
    try:
        text = json_schemas.written({VERSION: bundled})
        json_schemas.refuse_unusable(bundled)
    except ValueError as error:
        raise UnusableSpecification(str(error)) from None
    return text


def _examples(media: Any) -> list[Any]:
    if "example" in media:
        return [media["example"]]
    examples = media.get("examples")
    found = examples.values() if isinstance(examples, dict) else ()
    return [example["value"] for example in found if isinstance(example, dict) and "value" in example]


def _bundled(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The schema with every component that it refers to, as definitions inside it."""
    components = document.get("components")
    known = components.get("schemas") if isinstance(components, dict) else None
    known = known if isinstance(known, dict) else {}
    needed, waiting = {}, list(_references(schema))
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        if name not in known:
            raise UnusableSpecification(f"There is no schema {_COMPONENTS}{name}.")
        needed[name] = known[name]
        waiting.extend(_references(known[name]))
    moved: dict[str, Any] = _with_moved_references(schema)
    return (
        moved | {"definitions": {name: _with_moved_references(part) for name, part in needed.items()}}
        if needed
        else moved
    )


def _references(node: Any) -> Iterator[str]:
    match node:
        case dict():
            reference = node.get("$ref")
            if isinstance(reference, str) and reference.startswith(_COMPONENTS):
                yield reference.removeprefix(_COMPONENTS).partition("/")[0]
            for value in node.values():
                yield from _references(value)
        case list():
            for value in node:
                yield from _references(value)


def _with_moved_references(node: Any) -> Any:
    match node:
        case dict():
            return {
                name: value.replace(_COMPONENTS, _DEFINITIONS, 1)
                if name == "$ref" and isinstance(value, str)
                else _with_moved_references(value)
                for name, value in node.items()
            }
        case list():
            return [_with_moved_references(value) for value in node]
    return node


def _resolved(node: Any, document: dict[str, Any]) -> Any:
    for _ in range(MAX_REFERENCES):
        if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
            return node
        node = _at(node["$ref"], document)
    raise UnusableSpecification("References lead in a circle.")


def _at(pointer: str, document: dict[str, Any]) -> Any:
    found: Any = document
    for part in pointer.removeprefix("#/").split("/"):
        if not isinstance(found, dict) or part not in found:
            raise UnusableSpecification(f"There is nothing at {pointer[:200]}.")
        found = found[part]
    return found


def _yaml(text: str) -> Any:
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Plain)):
            # A few lines of aliases can expand to more than any memory holds.
            raise UnusableSpecification("YAML aliases are not allowed.")
        # Written and read again as JSON, so that only JSON's types are left.
        return exact_json.read(exact_json.written(yaml.load(text, Loader=_Plain)))  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # For wrongly tagged values (`!!int x`) the parser raises errors of many kinds.
        why = "it is nested too deep" if isinstance(error, RecursionError) else type(error).__name__
        raise UnusableSpecification(f"This is neither JSON nor YAML: {why}.") from None


class _Plain(yaml.SafeLoader):
    """YAML with JSON's types: dates stay text, and mapping keys such as 200, yes or null stay text as written."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - typed by the class above
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # PyYAML's
        """As the parser calls it."""
        self.flatten_mapping(node)
        for name, _ in node.value:
            if isinstance(name, yaml.ScalarNode):
                name.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep=deep)
