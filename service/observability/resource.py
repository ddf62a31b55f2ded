"""The OpenTelemetry resource that all three signals carry: service name, version, instance, Kubernetes names."""

import uuid
from collections.abc import Mapping
from urllib.parse import unquote

from opentelemetry.sdk.resources import Resource

_KUBERNETES = {
    "K8S_NAMESPACE_NAME": "k8s.namespace.name",
    "K8S_POD_NAME": "k8s.pod.name",
    "K8S_POD_UID": "k8s.pod.uid",
    "K8S_NODE_NAME": "k8s.node.name",
    "K8S_DEPLOYMENT_NAME": "k8s.deployment.name",
    "K8S_CONTAINER_NAME": "k8s.container.name",
}


def describe(*, role: str, version: str, environ: Mapping[str, str], process: int | None = None) -> Resource:
    """The resource. Standard variables override our defaults; `K8S_*` come from Kubernetes' downward API. Each
    `process` of several, by its number, is an instance."""
    attributes = {
        "service.name": "relevo",
        "service.namespace": "relevo",
        "service.version": version,
        "service.instance.id": _instance(environ.get("K8S_POD_UID"), process),
        "deployment.environment.name": "development",
        "relevo.role": role,
        **{name: environ[variable] for variable, name in _KUBERNETES.items() if environ.get(variable)},
        **_written(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
    }
    if environ.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = environ["OTEL_SERVICE_NAME"]
    return Resource.create(attributes)


def _instance(pod: str | None, process: int | None) -> str:
    if not pod:
        return str(uuid.uuid4())
    return pod if process is None else f"{pod}/{process}"


def _written(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split(",") if "=" in item)
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}
