"""SERVER spans that the middleware opens itself, where the instrumentation does not see a request.

They say what the instrumentation's spans say, attribute by attribute; a test holds both alike. The instrumentation
reads a request's headers four times and sets every attribute twice, which costs more than all the spans below it.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS, CLIENT_PORT
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_QUERY, URL_SCHEME
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.util.http import detect_synthetic_user_agent

# What a caller writes is in no signal, and these would be the caller's words.
WITHOUT_WORDS = {URL_PATH: "", URL_QUERY: "", USER_AGENT_ORIGINAL: ""}
_SYNTHETIC = "user_agent.synthetic.type"
_USUAL_PORT = 80


def start_server_span(
    tracer: Tracer,
    scope: Mapping[str, Any],
    *,
    method: str,
    user_agent: str | None,
    parent: Context,
    named: Mapping[str, str],
) -> Span:
    """The SERVER span of the request of this ASGI scope, whose route is known or will never be. `named` are attributes
    of our own."""
    route = getattr(scope.get("route"), "path_format", None)
    span = tracer.start_span(method if route is None else f"{method} {route}", context=parent, kind=SpanKind.SERVER)
    if span.is_recording():
        span.set_attributes({**_attributes(scope, method, route, user_agent), **named})
    return span


def end_server_span(span: Span, *, status: int) -> None:
    """End the span with the status of its answer, 0 if there was none."""
    if status and span.is_recording():
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
        if status >= 500:
            span.set_attribute(ERROR_TYPE, str(status))
            span.set_status(StatusCode.ERROR)
    span.end()


def _attributes(
    scope: Mapping[str, Any], method: str, route: str | None, user_agent: str | None
) -> dict[str, str | int]:
    address, port = scope.get("server") or ("0.0.0.0", _USUAL_PORT)  # noqa: S104 - a name for what is not known
    attributes = {
        URL_SCHEME: scope["scheme"],
        SERVER_ADDRESS: address if port == _USUAL_PORT else f"{address}:{port}",
        NETWORK_PROTOCOL_VERSION: scope["http_version"],
        HTTP_REQUEST_METHOD: method,
        **WITHOUT_WORDS,
    }
    if port:
        attributes[SERVER_PORT] = port
    if route is not None:
        attributes[HTTP_ROUTE] = route
    client, its_port = scope.get("client") or (None, None)
    if client:
        attributes[CLIENT_ADDRESS] = client
    if its_port:  # not known behind a proxy
        attributes[CLIENT_PORT] = its_port
    if user_agent and (synthetic := detect_synthetic_user_agent(user_agent)):
        attributes[_SYNTHETIC] = synthetic
    return attributes
