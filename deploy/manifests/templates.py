"""Generates the Helm chart's templates from kustomize's manifests, with values where clusters differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.manifests.copies import CHART

_KUBERNETES = Path("deploy/kubernetes")

# The text of a manifest that is replaced, and its replacement.
Change = tuple[str, str]


class NothingToChange(Exception):
    """A manifest lacks the text that should be replaced; the text names both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A manifest and its changes. With `only`, the template is rendered only if that value is true."""

    manifest: str
    only: str = ""
    changes: tuple[Change, ...] = ()

    def text(self, root: Path) -> str:
        """The template's text. NothingToChange when the manifest no longer has a text that should be replaced."""
        text = (root / _KUBERNETES / self.manifest).read_text()
        for old, new in self.changes:
            if old not in text:
                raise NothingToChange(f"{self.manifest}: {old}")
            text = text.replace(old, new)
        head = f"{{{{/* Made by `make manifests` of {_KUBERNETES / self.manifest}. */}}}}\n"
        return head + (f"{{{{- if {self.only} }}}}\n{text}{{{{- end }}}}\n" if self.only else text)


def templates(root: Path) -> Mapping[str, str]:
    """The text of each template, by its path below `root`."""
    return {f"{CHART}/templates/{name}": template.text(root) for name, template in _TEMPLATES.items()}


_POD: tuple[Change, ...] = (
    ("{name: relevo, key: ", "{name: {{ .Values.secret }}, key: "),
    (
        "      enableServiceLinks: false\n",
        "      enableServiceLinks: false\n"
        "      {{- with .Values.image.pullSecrets }}\n"
        "      imagePullSecrets: {{- toYaml . | nindent 8 }}\n"
        "      {{- end }}\n",
    ),
    (
        "image: relevo\n",
        'image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"\n',
    ),
)
_HOOKS: Change = (
    "    argocd.argoproj.io/hook: Sync\n"
    "    argocd.argoproj.io/hook-delete-policy: BeforeHookCreation\n"
    '    argocd.argoproj.io/sync-wave: "-1"\n',
    "    # Argo CD understands these as well.\n"
    "    helm.sh/hook: pre-install,pre-upgrade\n"
    "    helm.sh/hook-delete-policy: before-hook-creation\n",
)


def _deployment(role: str) -> Template:
    # A checksum of the settings restarts pods when they change, like kustomize's ConfigMap names with a hash.
    settings = (
        "    metadata:\n      labels: *labels\n",
        "    metadata:\n      labels: *labels\n      annotations:\n"
        '        checksum/settings: {{ include "relevo.settings" . | sha256sum }}\n',
    )
    resources = (
        "          resources:\n            requests: {cpu: 500m, memory: 256Mi}\n            limits: {memory: 768Mi}\n",
        f"          resources: {{{{- toYaml .Values.{role}.resources | nindent 12 }}}}\n",
    )
    return Template(manifest=f"base/{role}.yaml", changes=(*_POD, settings, resources))


def _replicas(role: str, *, least: int, most: int) -> Change:
    replicas = f".Values.{role}.replicas"
    return (
        f"  minReplicas: {least}\n  maxReplicas: {most}\n",
        f"  minReplicas: {{{{ {replicas}.min }}}}\n  maxReplicas: {{{{ {replicas}.max }}}}\n",
    )


_WATCHERS: Change = (
    "{kubernetes.io/metadata.name: monitoring}",
    "{kubernetes.io/metadata.name: {{ .Values.monitoring.namespace }}}",
)

_TEMPLATES: Mapping[str, Template] = {
    "account.yaml": Template(manifest="base/account.yaml"),
    "migrate.yaml": Template(manifest="base/migrate.yaml", changes=(*_POD, _HOOKS)),
    "serve.yaml": _deployment("serve"),
    "worker.yaml": _deployment("worker"),
    "services.yaml": Template(manifest="base/services.yaml"),
    "disruption.yaml": Template(manifest="base/disruption.yaml"),
    "scaling.yaml": Template(
        manifest="base/scaling.yaml",
        changes=(_replicas("serve", least=3, most=12), _replicas("worker", least=2, most=20)),
    ),
    "network.yaml": Template(manifest="base/network.yaml", only=".Values.networkPolicy.enabled", changes=(_WATCHERS,)),
    "ingress.yaml": Template(
        manifest="ingress/ingress.yaml",
        only=".Values.ingress.enabled",
        changes=(
            ("ingressClassName: nginx", "ingressClassName: {{ .Values.ingress.className }}"),
            ("relevo.example.com", "{{ .Values.ingress.host }}"),
            ("secretName: relevo-tls", "secretName: {{ .Values.ingress.tlsSecret }}"),
            (
                "  name: relevo\nspec:",
                "  name: relevo\n  annotations: {{- toYaml .Values.ingress.annotations | nindent 4 }}\nspec:",
            ),
        ),
    ),
    "collector.yaml": Template(
        manifest="collector/collector.yaml",
        only=".Values.collector.enabled",
        changes=(
            _WATCHERS,
            ('"jaeger-collector.monitoring:4317"', "{{ .Values.collector.jaeger | quote }}"),
            ('"http://prometheus-operated.monitoring:9090/api/v1/otlp"', "{{ .Values.collector.prometheus | quote }}"),
            ('"http://loki-gateway.monitoring/otlp"', "{{ .Values.collector.loki | quote }}"),
        ),
    ),
    "service-monitor.yaml": Template(
        manifest="overlays/prometheus-operator/service-monitor.yaml",
        only=".Values.prometheusOperator.enabled",
        changes=(
            (
                "    # What kube-prometheus-stack selects by, where that is the name of its Helm release.\n"
                "    release: kube-prometheus-stack\n",
                "    {{- toYaml .Values.prometheusOperator.labels | nindent 4 }}\n",
            ),
            ("replacement: production", "replacement: {{ .Values.environment }}"),
        ),
    ),
}
