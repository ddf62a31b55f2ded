{{/* What the settings say goes before what follows from other values. */}}
{{- define "relevo.settings" -}}
{{- $ours := dict "OTEL_RESOURCE_ATTRIBUTES" (printf "deployment.environment.name=%s" .Values.environment) }}
{{- if .Values.prometheusOperator.enabled }}
{{- $_ := set $ours "OTEL_METRICS_EXPORTER" "none" }}
{{- end }}
{{- range $name, $value := merge (dict) .Values.settings $ours }}
{{ $name }}: {{ toString $value | quote }}
{{- end }}
{{- end }}
