{{/* dict "root" $ "component" "name" "budget" <values> */}}
{{- define "sempre-server.disruption" }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "sempre-server.metadata" . | nindent 2 }}
spec:
  {{- if kindIs "invalid" .budget.minAvailable }}
  maxUnavailable: {{ .budget.maxUnavailable }}
  {{- else }}
  minAvailable: {{ .budget.minAvailable }}
  {{- end }}
  # A pod that does not work may always be moved.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "sempre-server.selector" . | nindent 6 }}
{{- end -}}
