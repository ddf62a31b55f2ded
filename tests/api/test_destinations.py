"""Ordered destinations: what is created, shown and changed, who may, and what is refused."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response
from pydantic.alias_generators import to_camel
from svix.models import DestinationOut

from service.adapters.destinations.clients import why_unavailable
from service.api.schemas.destinations import DestinationIn, DestinationPatch
from service.api.schemas.sinks import CONFIGS as CONFIG_MODELS
from service.api.schemas.sinks import AnyConfig, NothingToConfigure
from service.api.services import Services
from service.domain.headers import MASK
from service.domain.ids import ApplicationId
from service.domain.sink_configs import SINKS, sink_of
from service.domain.sinks import SinkKind
from tests.api.conftest import TOKENS
from tests.support.factories import ORG
from tests.support.sinks import CONFIGS

PATH = "/app/u/destination"
URL = "http://127.0.0.1:9/"
FIFO = {"type": "fifoEndpoint", "config": {"url": URL}}
# Another value than is usual, for every field that a caller may say but its type and configuration.
SAID: dict[str, Any] = {
    "uid": "other",
    "status": "disabled",
    "batchSize": 7,
    "maxWaitSecs": 3,
    "eventTypes": ["invoice.paid"],
    "channels": ["c"],
    "metadata": {"k": "v"},
}
USUAL: dict[str, Any] = {
    "uid": None,
    "status": "enabled",
    "batchSize": 1,
    "maxWaitSecs": 0,
    "eventTypes": None,
    "channels": None,
    "metadata": {},
}

TYPES_OF_THE_SDK = {get_args(each)[0] for each in get_args(DestinationOut.model_fields["type"].annotation)}

pytestmark = pytest.mark.usefixtures("application")


def test_each_type_is_configured_by_the_fields_of_its_sink() -> None:
    assert {kind: model.model_fields.keys() for kind, model in CONFIG_MODELS.items()} == {
        kind: {each.name for each in fields(sink)} for kind, sink in SINKS.items()
    }


def test_the_document_has_the_configuration_of_each_type() -> None:
    documented = set(get_args(get_args(AnyConfig)[0]))

    assert documented >= set(CONFIG_MODELS.values()) - {NothingToConfigure}


def config(kind: SinkKind) -> dict[str, Any]:
    """A whole configuration, as callers write it."""
    return {to_camel(name): value for name, value in CONFIGS[kind].items()}


async def create(api: AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await api.post(PATH, json=FIFO | {"uid": "d"} | body)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def event_type(api: AsyncClient) -> None:
    await api.post("/event-type", json={"name": "invoice.paid", "description": ""})


def place(answer: Response) -> list[str]:
    """The path to the value that is wrong."""
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["detail"]
    return list(fault["loc"])


def portal(app_id: str) -> dict[str, str]:
    token = TOKENS.mint_for_application(ApplicationId(app_id), ORG, now=datetime.now(UTC))
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("kind", SinkKind)
async def test_each_type_is_created_and_shown_without_its_credentials(api: AsyncClient, kind: SinkKind) -> None:
    created = await create(api, type=kind, config=config(kind))

    shown = (await api.get(f"{PATH}/d")).json()

    assert shown == created
    assert shown["type"] == kind
    assert "hidden" not in str(shown)
    assert shown["config"].keys() >= config(kind).keys() - {"password", "secretAccessKey", "token"}
    assert shown["batchSize"] == (1 if kind is SinkKind.FIFO else 100)


async def test_a_configuration_has_the_names_of_the_api(api: AsyncClient) -> None:
    created = await create(api, type="amazonS3", config=config(SinkKind.S3))

    assert created["config"] == {
        "bucket": "events.of-customers",
        "region": "eu-central-1",
        "accessKeyId": "AKIA",
        "endpointUrl": "http://127.0.0.1:9000",
    }


async def test_headers_are_shown_as_endpoints_show_theirs(api: AsyncClient) -> None:
    headers = {"X-One": "1", "Authorization": "Bearer hidden"}

    created = await create(api, config={"url": URL, "headers": headers})

    assert created["config"] == {
        "url": URL,
        "key": None,
        "headers": {"headers": {"X-One": "1"}, "sensitive": ["Authorization"]},
    }


def test_there_is_a_value_for_every_field() -> None:
    apart = {"type", "config", "startAt"}
    for body in (DestinationIn, DestinationPatch):
        assert SAID.keys() | apart == {to_camel(name) for name in body.model_fields}


@pytest.mark.parametrize("way", ["create", "upsert", "patch"])
async def test_whatever_is_said_is_kept_and_shown(api: AsyncClient, way: str) -> None:
    await event_type(api)
    usual = await create(api, uid="other" if way == "create" else "d")
    if way == "create":
        await api.delete(f"{PATH}/other")

    method, path, body = {
        "create": ("POST", PATH, FIFO | SAID),
        "upsert": ("PUT", f"{PATH}/d", FIFO | SAID),
        "patch": ("PATCH", f"{PATH}/d", SAID),
    }[way]

    said = (await api.request(method, path, json=body)).json()
    assert {name: usual[name] for name in SAID} == USUAL | {"uid": usual["uid"]}
    assert {name: said[name] for name in SAID} == SAID
    assert (await api.get(f"{PATH}/other")).json() == said


async def test_null_clears_in_a_patch_and_what_is_absent_stays(api: AsyncClient) -> None:
    await event_type(api)
    await create(api, **SAID | {"uid": "d"})

    stayed = (await api.patch(f"{PATH}/d", json={})).json()
    cleared = (await api.patch(f"{PATH}/d", json=dict.fromkeys(SAID.keys() - {"status"}))).json()

    assert {name: stayed[name] for name in SAID} == SAID | {"uid": "d"}
    assert {name: cleared[name] for name in SAID} == USUAL | {"status": "disabled"}


async def test_no_names_at_all_want_everything(api: AsyncClient) -> None:
    created = await create(api, eventTypes=[], channels=[])

    assert (created["eventTypes"], created["channels"]) == (None, None)


async def test_an_upsert_replaces_but_leaves_what_only_others_may_decide(api: AsyncClient) -> None:
    await create(api, status="paused", batchSize=7, config={"url": URL, "headers": {"X-One": "1"}, "key": "id"})
    secret = (await api.get(f"{PATH}/d/secret")).json()

    replaced = await api.put(f"{PATH}/d", json=FIFO | {"uid": "d"})

    assert replaced.status_code == 200
    assert (replaced.json()["status"], replaced.json()["batchSize"]) == ("paused", 1)
    assert replaced.json()["config"] == {
        "url": URL,
        "key": None,
        "headers": {"headers": {"X-One": "1"}, "sensitive": []},
    }
    assert (await api.get(f"{PATH}/d/secret")).json() == secret


async def test_a_uri_that_was_shown_may_come_back_and_keeps_its_password(api: AsyncClient, services: Services) -> None:
    created = await create(api, type="rabbitMq", config=config(SinkKind.RABBITMQ))
    assert created["config"]["uri"] == f"amqp://user:{MASK}@127.0.0.1:5672/%2F"

    back = {"type": "rabbitMq", "config": created["config"]}
    patched = await api.patch(f"{PATH}/d", json=back)
    replaced = await api.put(f"{PATH}/d", json=back | {"uid": "d"})
    elsewhere = created["config"] | {"uri": f"amqp://user:{MASK}@127.0.0.2/%2F"}
    carried = await api.patch(f"{PATH}/d", json=back | {"config": elsewhere})

    assert patched.json()["config"] == replaced.json()["config"] == created["config"]
    assert place(carried) == ["body", "config", "uri"]
    async with services.begin() as work:
        kept = await work.destinations.get(ApplicationId(await app_id(api)), "d")
    assert kept is not None
    assert kept.sink == sink_of(SinkKind.RABBITMQ, CONFIGS[SinkKind.RABBITMQ])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"type": "sqs"}, ["body", "type"]),
        ({"type": None}, ["body", "type"]),
        ({"config": {}}, ["body", "config", "url"]),
        ({"config": {"url": "ftp://a/"}}, ["body", "config", "url"]),
        ({"config": {"url": URL, "headers": {"Expect": "x"}}}, ["body", "config", "headers", "Expect", "[key]"]),
        ({"config": {"url": "http://10.0.0.1/"}}, ["body", "config", "url"]),
        ({"config": [1]}, ["body", "config"]),
        (
            {"type": "kafka", "config": {"bootstrapServers": ["10.0.0.1:1"], "topic": "t"}},
            ["body", "config", "bootstrapServers"],
        ),
        ({"type": "nats", "config": {"servers": ["nats://10.0.0.1"], "subject": "s"}}, ["body", "config", "servers"]),
        ({"type": "rabbitMq", "config": {"uri": "amqp://10.0.0.1/", "routingKey": "k"}}, ["body", "config", "uri"]),
        ({"type": "rabbitMq", "config": {"uri": "amqp://127.0.0.1/"}}, ["body", "config", "routingKey"]),
        (
            {"type": "postgres", "config": {"url": "postgres://u@10.0.0.1/d", "tableName": "t"}},
            ["body", "config", "url"],
        ),
        (
            {"type": "postgres", "config": {"url": "postgres://u@127.0.0.1/d", "tableName": 't"'}},
            ["body", "config", "tableName"],
        ),
        ({"status": "retrying"}, ["body", "status"]),
        ({"batchSize": 0}, ["body", "batchSize"]),
        ({"batchSize": 1001}, ["body", "batchSize"]),
        ({"maxWaitSecs": 301}, ["body", "maxWaitSecs"]),
        ({"eventTypes": ["unknown"]}, ["body", "eventTypes"]),
        ({"uid": "dest_1"}, ["body", "uid"]),
        ({"startAt": "2999-01-01T00:00:00Z"}, ["body", "startAt"]),
    ],
)
async def test_what_is_wrong_is_refused_with_its_place(
    api: AsyncClient, body: dict[str, Any], expected: list[str]
) -> None:
    await create(api)

    created = await api.post(PATH, json=FIFO | body)

    assert place(created) == expected
    assert [each["uid"] for each in (await api.get(PATH)).json()["data"]] == ["d"]


async def test_another_type_is_refused_with_the_names_of_ours(api: AsyncClient) -> None:
    answer = await api.post(PATH, json={"type": "snowflake", "config": {}})

    (fault,) = answer.json()["detail"]
    assert all(kind.value in fault["msg"] for kind in SinkKind)


async def test_a_destination_stays_of_its_type(api: AsyncClient) -> None:
    await create(api)
    other = {"type": "pollingEndpoint", "config": {}}

    refused = [await api.patch(f"{PATH}/d", json=other), await api.put(f"{PATH}/d", json=other | {"uid": "d"})]
    unnamed = await api.patch(f"{PATH}/d", json={"config": {"url": URL}})

    assert [place(answer) for answer in (*refused, unnamed)] == [["body", "type"]] * 3


async def test_where_https_is_asked_for_no_destination_is_called_in_the_clear(
    app: FastAPI, api: AsyncClient, services: Services
) -> None:
    app.state.services = replace(services, https_only=True)

    clear = await api.post(PATH, json=FIFO)
    encrypted = await api.post(PATH, json=FIFO | {"config": {"url": "https://127.0.0.1:9/"}})

    assert place(clear) == ["body", "config", "url"]
    assert encrypted.status_code == 201


async def test_a_type_whose_client_is_not_installed_is_refused_with_what_to_install(
    app: FastAPI, api: AsyncClient, services: Services
) -> None:
    absent = {SinkKind.KAFKA: ("no_such_module", "kafka")}
    app.state.services = replace(services, lacks_client=partial(why_unavailable, needed=absent))

    refused = await api.post(PATH, json={"type": "kafka", "config": config(SinkKind.KAFKA)})
    other = await api.post(PATH, json={"type": "nats", "config": config(SinkKind.NATS)})

    assert place(refused) == ["body", "type"]
    assert "install relevo[kafka]" in refused.text
    assert other.status_code == 201


async def test_a_list_has_no_type_that_the_sdks_do_not_know_unless_it_is_asked_for(api: AsyncClient) -> None:
    for kind in SinkKind:
        await create(api, type=kind, config=config(kind), uid=kind.value)

    known = await api.get(PATH, params={"order": "ascending"})
    all_of_them = await api.get(PATH, params={"every_type": True, "limit": 250})
    first = (await api.get(PATH, params={"every_type": True, "limit": 4, "order": "ascending"})).json()
    rest = (
        await api.get(PATH, params={"every_type": True, "iterator": first["iterator"], "order": "ascending"})
    ).json()

    assert [each["uid"] for each in known.json()["data"]] == [kind for kind in SinkKind if kind in TYPES_OF_THE_SDK]
    assert [each["uid"] for each in all_of_them.json()["data"]] == list(reversed(SinkKind))
    assert [each["uid"] for each in first["data"] + rest["data"]] == list(SinkKind)
    assert (first["done"], rest["done"]) == (False, True)


async def app_id(api: AsyncClient) -> ApplicationId:
    return ApplicationId((await api.get("/app/u")).json()["id"])


async def test_the_organisation_alone_pauses_and_ends_a_pause(api: AsyncClient) -> None:
    await create(api)
    customer = portal(await app_id(api))

    denied = [await api.patch(f"{PATH}/d", json={"status": "paused"}, headers=customer)]
    paused = await api.patch(f"{PATH}/d", json={"status": "paused"})
    denied += [
        await api.patch(f"{PATH}/d", json={"status": "enabled"}, headers=customer),
        await api.put(f"{PATH}/d", json=FIFO | {"uid": "d", "status": "disabled"}, headers=customer),
        await api.post(PATH, json=FIFO | {"status": "paused"}, headers=customer),
    ]
    changed = await api.patch(f"{PATH}/d", json={"batchSize": 5}, headers=customer)
    ended = await api.patch(f"{PATH}/d", json={"status": "enabled"})

    assert {answer.status_code for answer in denied} == {403}
    assert [each.json()["status"] for each in (paused, changed, ended)] == ["paused", "paused", "enabled"]


async def test_a_secret_is_rotated_and_the_old_one_signs_for_a_day(api: AsyncClient, services: Services) -> None:
    made = await create(api)
    first = (await api.get(f"{PATH}/d/secret")).json()["key"]

    second = (await api.post(f"{PATH}/d/secret/rotate", json={})).json()["key"]
    own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    third = (await api.post(f"{PATH}/d/secret/rotate", json={"key": own})).json()["key"]

    assert first != second
    assert third == own == (await api.get(f"{PATH}/d/secret")).json()["key"]
    async with services.begin() as work:
        secrets = await work.destinations.secrets(made["id"])
    assert [secret.text for secret in secrets] == [third, second, first]
    lasts = [secret.expires_at - services.clock.now() for secret in secrets[1:] if secret.expires_at]
    assert all(timedelta(hours=23) < left < timedelta(hours=25) for left in lasts)


async def test_what_is_not_signed_has_no_secret(api: AsyncClient) -> None:
    await create(api, type="pollingEndpoint", config={})

    answers = [await api.get(f"{PATH}/d/secret"), await api.post(f"{PATH}/d/secret/rotate", json={})]

    assert [answer.status_code for answer in answers] == [400, 400]


async def test_a_uid_is_taken_once_and_free_again(api: AsyncClient) -> None:
    await create(api)

    taken = await api.post(PATH, json=FIFO | {"uid": "d"})
    deleted = await api.delete(f"{PATH}/d")
    gone = await api.get(f"{PATH}/d")
    again = await api.post(PATH, json=FIFO | {"uid": "d"})

    assert [each.status_code for each in (taken, deleted, gone, again)] == [409, 204, 404, 201]
