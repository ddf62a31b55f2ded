"""The headers that an endpoint is sent, in a form with a row for each. What holds a credential is never shown again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import Request, Response

from service.api.dependencies import ApplicationDep, EndpointsDep
from service.api.parameters import EndpointRef
from service.api.schemas.headers import EndpointHeadersPatchIn
from service.console.forms import Form, FormDep
from service.console.pages import go, page, pages
from service.console.problems import refused_with
from service.console.routes.endpoints import path_of
from service.domain import headers as rules
from service.domain.errors import Invalid

TEMPLATE = "endpoint_headers.html"
NEW_ROWS = 3

router = pages("/app/{app_id}/endpoint/{endpoint_id}")
routers = (router,)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderRow:
    """A row of the form. A `known` header is set already; of one that is `hidden` the value is not shown."""

    name: str = ""
    value: str = ""
    known: bool = False
    hidden: bool = False
    removed: bool = False


@router.get("/headers", operation_id="v1.endpoint.patch-headers")
async def show_headers(
    request: Request, application: ApplicationDep, endpoint_id: EndpointRef, endpoints: EndpointsDep
) -> Response:
    """Show the form with the headers."""
    endpoint = await endpoints.get(endpoint_id)
    rows = _rows(Form(), await endpoints.headers(endpoint.id))
    return page(request, TEMPLATE, application=application, endpoint=endpoint, rows=rows, problems={})


@router.post("/headers", operation_id="v1.endpoint.patch-headers")
async def change_headers(
    application: ApplicationDep, endpoint_id: EndpointRef, endpoints: EndpointsDep, form: FormDep
) -> Response:
    """Set and remove headers. A hidden one stays unless another value is typed."""
    endpoint = await endpoints.get(endpoint_id)
    known = await endpoints.headers(endpoint.id)
    with refused_with(TEMPLATE, form, application=application, endpoint=endpoint, rows=_rows(form, known)):
        body = EndpointHeadersPatchIn.model_validate(_changes(form, known))
        await endpoints.set_headers(endpoint.id, body.applied_to)
    return go(path_of(endpoint), done="changed")


def _rows(form: Form, known: Mapping[str, str]) -> Sequence[HeaderRow]:
    """A row for each known header, then those that were typed, then empty ones."""
    typed, removed = dict(_typed(form)), set(form.all("remove"))
    rows = [
        HeaderRow(
            name=name,
            value="" if rules.holds_credentials(name) else typed.get(name, value),
            known=True,
            hidden=rules.holds_credentials(name),
            removed=name in removed,
        )
        for name, value in known.items()
    ]
    new = [
        HeaderRow(name=name, value="" if rules.holds_credentials(name) else value)
        for name, value in typed.items()
        if name and name not in known
    ]
    return [*rows, *new, *(HeaderRow() for _ in range(NEW_ROWS))]


def _changes(form: Form, known: Mapping[str, str]) -> dict[str, object]:
    """The form as the API's body. Raises Invalid for a value without a name, and for a name that is there twice."""
    removed, seen = set(form.all("remove")), set[str]()
    changed: dict[str, str] = {}
    for name, value in _typed(form):
        if not name and value:
            raise Invalid("Every header needs a name.", field=("headers",))
        if not name:
            continue
        if name.lower() in seen:
            raise Invalid(f"The header {name[:64]!r} is there twice.", field=("headers",))
        seen.add(name.lower())
        stays = name in known and rules.holds_credentials(name) and not value
        if name not in removed and not stays:
            changed[name] = value
    return {"headers": changed, "deleteHeaders": sorted(removed)}


def _typed(form: Form) -> Sequence[tuple[str, str]]:
    return [(name.strip(), value.strip()) for name, value in zip(form.all("name"), form.all("value"), strict=False)]
