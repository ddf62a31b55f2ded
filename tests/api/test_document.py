"""The OpenAPI document is complete, and has every field that the official SDK reads and writes."""

from typing import Any

import pytest
from fastapi import FastAPI
from svix import models

OURS_BY_SDK = {
    "ApplicationIn": "ApplicationIn",
    "ApplicationOut": "ApplicationOut",
    "ApplicationPatch": "ApplicationPatch",
    "EndpointIn": "EndpointIn",
    "EndpointOut": "EndpointOut",
    "EndpointPatch": "EndpointPatch",
    "EndpointHeadersIn": "EndpointHeadersIn",
    "EndpointHeadersOut": "EndpointHeadersOut",
    "EndpointHeadersPatchIn": "EndpointHeadersPatchIn",
    "EndpointMessageOut": "EndpointMessageOut",
    "EndpointSecretOut": "EndpointSecretOut",
    "EndpointSecretRotateIn": "EndpointSecretRotateIn",
    "EventTypeIn": "EventTypeIn",
    "EventTypeOut": "EventTypeOut",
    "EventTypePatch": "EventTypePatch",
    "ListResponseApplicationOut": "ListOut_ApplicationOut_",
    "MessageAttemptOut": "MessageAttemptOut",
    "MessageEndpointOut": "MessageEndpointOut",
    "MessageIn": "MessageIn",
    "MessageOut": "MessageOut",
}


@pytest.mark.parametrize("name", OURS_BY_SDK)
async def test_every_field_of_the_sdk_is_ours(app: FastAPI, name: str) -> None:
    theirs = getattr(models, name).model_json_schema(by_alias=True)["properties"].keys()

    ours = app.openapi()["components"]["schemas"][OURS_BY_SDK[name]]["properties"].keys()

    assert theirs - ours == set()


async def test_every_operation_is_described_with_its_errors(app: FastAPI) -> None:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            case = f"{method} {path}"
            assert operation["operationId"].startswith("v1."), case
            assert operation["summary"], case
            assert operation["description"], case
            assert {"401", "403", "422"} <= operation["responses"].keys(), case
            assert operation["security"], case


async def test_every_reference_leads_somewhere(app: FastAPI) -> None:
    document = app.openapi()
    waiting: list[Any] = [document]
    while waiting:
        match waiting.pop():
            case {"$ref": str(reference)}:
                assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
            case dict(members):
                waiting.extend(members.values())
            case list(items):
                waiting.extend(items)
