"""The OpenAPI document is complete, and it fits whatever the official SDK sends and reads."""

import inspect
import re
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import orjson
import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from jsonschema_rs import Draft202012Validator
from pydantic import BaseModel
from svix import api as svix_api
from svix import models
from svix.api import SvixAsync, SvixOptions

from service.adapters.postgres.server.database import Database
from service.domain.operational_webhooks import OPERATIONS, AttemptEvent, EndpointEvent
from tests.api.fitting import Fit, Schema, resolved
from tests.api.test_sdk_table import NOT_OFFERED, methods
from tests.api.walking import HEALTH
from tests.test_documents import DOCUMENTS, is_there

JSON = "application/json"
# A path in a code span of Markdown, whole or its end: `msg/import`, `GET .../app/{app_id}/import`.
QUOTED_PATH = re.compile(
    r"`(?:(?:GET|POST|PUT|PATCH|DELETE) )?(?:\.\.\.)?(/?[a-z][\w{}-]*(?:/[\w{}.-]+)+)(?:\?[^`]*)?`"
)
# The document itself, a folder of Loki's, and a WebSocket, of which OpenAPI knows nothing.
NO_OPERATION = {"/api/v1/openapi.json", "pkg/push", "/api/v1/app/{app_id}/attempt/tail/ws", "/admin/profile"}
OURS = "#/components/schemas/"
_HOSTED = "a filter of the hosted service's own applications"
_IN_FULL = "a canceled delivery is always shown as one"
# Types that the SDKs do not know: they cannot make such destinations, and their lists leave them out.
OURS_ALONE = {f"destination.{name}.type" for name in ("create", "get", "upsert", "patch")} | {
    "destination.list.data[].type"
}
NOT_HEEDED = {
    "application.list?exclude_apps_with_svix_play_endpoints": _HOSTED,
    "event_type.list?order": "event types are listed by name, one way",
    "message_attempt.get?expanded_statuses": _IN_FULL,
    "message_attempt.list_by_endpoint?expanded_statuses": _IN_FULL,
    "message_attempt.list_by_msg?expanded_statuses": _IN_FULL,
    "message_attempt.list_attempted_destinations?expanded_statuses": _IN_FULL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A method of the SDK: the operation that it asks, with which model, and the model that it reads."""

    method: str
    path: str
    sends: type[BaseModel] | None
    reads: type[BaseModel] | None
    filters: frozenset[str]


def calls() -> dict[str, Call]:
    """Each method of the SDK that Relevo offers."""
    sdk = SvixAsync("no token", SvixOptions(server_url="http://127.0.0.1:9"))
    return {name: _call(method) for name, method in methods(sdk) if name not in NOT_OFFERED}


def _call(method: Any) -> Call:
    source = inspect.getsource(method)
    hints = get_type_hints(method, vars(svix_api) | vars(models))
    reads = hints.pop("return")
    (sends,) = [hint for hint in hints.values() if _is_model(hint)] or [None]
    (verb,) = re.findall(r'method="(\w+)"', source)
    (path,) = re.findall(r'path="([^"]+)"', source)
    query = getattr(hints.get("options"), "_query_params", None)
    filters = re.findall(r'"(\w+)":', inspect.getsource(query)) if query else []
    return Call(
        method=verb, path=path, sends=sends, reads=reads if _is_model(reads) else None, filters=frozenset(filters)
    )


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)


CALLS = calls()


@pytest.fixture(scope="module")
def document(shared_app: tuple[FastAPI, object]) -> Schema:
    """The document; it needs no database, and is the same for every test."""
    app, _ = shared_app
    return app.openapi()


@pytest.mark.parametrize("name", CALLS)
async def test_what_the_document_answers_the_sdk_reads(document: Schema, name: str) -> None:
    call = CALLS[name]

    answers = _answers(document["paths"][call.path][call.method])

    assert bool(answers) == (call.reads is not None)
    for schema in answers:
        fit = Fit(written=_ours(schema, document), read=_theirs(call.reads), sdk_reads=True, at=name)
        assert [each for each in fit.misfits() if each.partition(":")[0] not in OURS_ALONE] == []


@pytest.mark.parametrize("name", CALLS)
async def test_what_the_sdk_sends_the_document_takes(document: Schema, name: str) -> None:
    call = CALLS[name]
    operation = document["paths"][call.path][call.method]

    body = operation.get("requestBody", {"content": {}})["content"].get(JSON)

    known = {parameter["name"] for parameter in operation.get("parameters", ())}
    assert {f"{name}?{unknown}" for unknown in call.filters - known} <= NOT_HEEDED.keys()
    assert (body is None) == (call.sends is None)
    if body is not None:
        fit = Fit(written=_theirs(call.sends), read=_ours(body["schema"], document), sdk_reads=False, at=name)
        assert list(fit.misfits()) == []


def test_every_path_that_is_quoted_in_the_manuals_is_one_of_the_api(document: Schema) -> None:
    paths = {_without_names(path) for path in document["paths"]}
    quoted = {
        path: _without_names(path)
        for manual in DOCUMENTS
        for path in QUOTED_PATH.findall(manual.read_text())
        if not is_there(path.lstrip("/"), manual) and not path.startswith("/console/")  # a page's
    }

    assert len(quoted) > 8
    assert {path for path, asked in quoted.items() if not any(known.endswith(asked) for known in paths)} == NO_OPERATION


def _without_names(path: str) -> str:
    return "/" + re.sub(r"\{\w+\}|customer-1", "{}", path).lstrip("/")


async def test_every_operation_is_described_with_its_errors(document: Schema) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            case = f"{method} {path}"
            assert operation["operationId"].startswith("v1."), case
            assert operation["summary"], case
            assert operation["description"], case
            if operation["operationId"] in HEALTH:
                continue
            assert {"400", "401", "403", "422", "503"} <= operation["responses"].keys(), case
            assert operation["security"], case
            for parameter in operation.get("parameters", ()):
                assert parameter.get("description"), f"{case}: {parameter['name']}"


async def test_everything_has_a_description_that_is_more_than_its_name(document: Schema) -> None:
    said = {
        f"{name}.{field}": (field, described.get("description", ""))
        for name, schema in document["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
    }
    for paths in (document["paths"], document["webhooks"]):
        for path, operations in paths.items():
            for method, operation in operations.items():
                case = f"{method} {path}"
                said[case] = (operation["operationId"], operation["description"])
                for parameter in operation.get("parameters", ()):
                    said[f"{case} {parameter['name']}"] = (parameter["name"], parameter.get("description", ""))
    for name, schema in document["components"]["schemas"].items():
        said[name] = (name, schema.get("description", ""))

    assert {case for case, (name, text) in said.items() if not _says_more(text, than=name)} == set()


def _says_more(text: str, *, than: str) -> bool:
    """Whether it is a sentence with words that the name does not have already."""
    named = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", than)}
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", text)}
    return text.endswith(".") and len(words - named - {"the", "a", "an", "of", "its", "this", "is"}) > 1


async def test_the_document_says_how_to_sign_in_page_repeat_and_read_errors(document: Schema) -> None:
    about = document["info"]["description"]
    used = {tag for each in document["paths"].values() for operation in each.values() for tag in operation["tags"]}

    for chapter in ("## Authentication", "## Lists", "## Sending again: idempotency", "## Errors", "## Live"):
        assert chapter in about
    assert "/api/v1/app/{app_id}/attempt/tail/ws" in about
    assert document["servers"][0]["url"] == "/"
    assert {tag["name"] for tag in document["tags"]} >= used
    schemes = document["components"]["securitySchemes"]
    assert [(scheme["type"], scheme["scheme"]) for scheme in schemes.values()] == [("http", "bearer")]


async def test_the_document_has_every_operational_event_and_what_is_sent_fits_it(
    document: Schema, api: AsyncClient, postgres: Database
) -> None:
    await api.post("/operational-webhook/endpoint", json={"url": "http://127.0.0.1:9/"})
    await api.post("/app", json={"name": "a", "uid": "a"})
    endpoint = (await api.post("/app/a/endpoint", json={"url": "http://127.0.0.1:9/"})).json()["id"]
    await api.patch(f"/app/a/endpoint/{endpoint}", json={"disabled": True})
    await api.delete(f"/app/a/endpoint/{endpoint}")
    rows = await postgres.pool.fetch("SELECT payload FROM message WHERE org_id = $1 ORDER BY id", OPERATIONS)
    sent = [orjson.loads(row["payload"]) for row in rows]

    assert document["webhooks"].keys() == {*get_args(EndpointEvent), *get_args(AttemptEvent)}
    assert [event["type"] for event in sent] == ["endpoint.created", "endpoint.updated", "endpoint.deleted"]
    for event in sent:
        body = document["webhooks"][event["type"]]["post"]["requestBody"]["content"][JSON]["schema"]
        Draft202012Validator(body | {"components": document["components"]}).validate(event)


async def test_every_error_answer_shows_what_it_says(document: Schema) -> None:
    shown = {
        (status, answer["content"][JSON].get("example", {}).get("code"))
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status[0] in "45" and status != "422"
    }

    assert {status for status, _ in shown} == {"400", "401", "403", "404", "408", "409", "413", "415", "429", "503"}
    assert [status for status, code in shown if code is None] == []
    assert len(shown) == len({status for status, _ in shown})


async def test_whatever_is_sent_or_answered_has_an_example_that_fits(document: Schema) -> None:
    bare, misfits = [], []
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            found = _examples(described)
            if not found and not _speaks_for_itself(described):
                bare.append(f"{name}.{field}")
            whole = described | {"components": document["components"]}
            misfits += [f"{name}.{field}: {each}" for each in found if not Draft202012Validator(whole).is_valid(each)]

    assert bare == []
    assert misfits == []


async def test_every_reference_leads_somewhere(document: Schema) -> None:
    waiting: list[Any] = [document]
    while waiting:
        match waiting.pop():
            case {"$ref": str(reference)}:
                assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
            case dict(members):
                waiting.extend(members.values())
            case list(items):
                waiting.extend(items)


def _examples(schema: Schema) -> list[Any]:
    """The examples of a value; of a list, a list of its items' examples."""
    if "examples" in schema:
        return list(schema["examples"])
    if "items" in schema:
        return [[example] for example in _examples(schema["items"])]
    return [example for each in schema.get("anyOf", ()) for example in _examples(each)]


def _speaks_for_itself(schema: Schema) -> bool:
    """Whether its values are few and named, or told of at another place, or one of them is the default."""
    if "items" in schema:
        return _speaks_for_itself(schema["items"])
    return (
        bool({"$ref", "enum", "const"} & schema.keys())
        or schema.get("type") in {"boolean", "null"}
        or schema.get("default") is not None
        or ("anyOf" in schema and all(map(_speaks_for_itself, schema["anyOf"])))
    )


def _answers(operation: dict[str, Any]) -> list[Any]:
    fine = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    return [answer["content"][JSON]["schema"] for answer in fine if JSON in answer.get("content", {})]


def _ours(schema: Any, document: Any) -> Any:
    return resolved(schema, document["components"]["schemas"], prefix=OURS)


def _theirs(model: type[BaseModel] | None) -> Any:
    assert model is not None
    schema = model.model_json_schema(by_alias=True)
    return resolved(schema, schema.get("$defs", {}), prefix="#/$defs/")
