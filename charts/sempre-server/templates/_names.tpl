{{/* Names, labels, images. */}}

{{- define "sempre-server.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters at most: the longest name made of it appends "-background-services-" and a group's. */}}
{{- define "sempre-server.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sempre-server.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "sempre-server.services.fullname" -}}
{{- include "sempre-server.fullname" . }}-background-services
{{- end -}}

{{- define "sempre-server.migrations.fullname" -}}
{{- include "sempre-server.fullname" . }}-db-migrations
{{- end -}}

{{- define "sempre-server.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sempre-server.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "sempre-server.services.serviceAccountName" -}}
{{- with .Values.backgroundServices.serviceAccount -}}
{{- if .create -}}
{{- default (include "sempre-server.services.fullname" $) .name -}}
{{- else -}}
{{- default "default" .name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sempre-server.migrations.serviceAccountName" -}}
{{- with .Values.migrations.serviceAccount -}}
{{- if .create -}}
{{- default (include "sempre-server.migrations.fullname" $) .name -}}
{{- else -}}
{{- default "default" .name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sempre-server.selector" -}}
app.kubernetes.io/name: {{ include "sempre-server.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* metadata of an object: dict "root" $ "component" "server" ["name" ...] ["annotations" dict] ["labels" dict] ["namespace" ...] */}}
{{- define "sempre-server.metadata" -}}
{{- $annotations := merge (dict) (default dict .annotations) .root.Values.commonAnnotations -}}
name: {{ default (include "sempre-server.fullname" .root) .name }}
namespace: {{ default (include "sempre-server.namespace" .root) .namespace }}
labels:
  {{- include "sempre-server.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
  {{- with merge (dict) (default dict .labels) .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* "true" when the image is named under the names of existing values. */}}
{{- define "sempre-server.image.isPrefects" -}}
{{- if .Values.global.prefect.image.repository -}}true{{- end -}}
{{- end -}}

{{- define "sempre-server.image.tag" -}}
{{- if include "sempre-server.image.isPrefects" . -}}
{{- default .Chart.AppVersion .Values.global.prefect.image.prefectTag -}}
{{- else -}}
{{- default .Chart.AppVersion .Values.image.tag -}}
{{- end -}}
{{- end -}}

{{- define "sempre-server.image" -}}
{{- $repository := default .Values.image.repository .Values.global.prefect.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest | quote -}}
{{- else -}}
{{- printf "%s:%s" $repository (include "sempre-server.image.tag" .) | quote -}}
{{- end -}}
{{- end -}}

{{- define "sempre-server.image.pullPolicy" -}}
{{- default .Values.image.pullPolicy .Values.global.prefect.image.pullPolicy -}}
{{- end -}}

{{- define "sempre-server.image.pullSecrets" -}}
{{- with concat .Values.image.pullSecrets .Values.global.prefect.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ .name }}{{ end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The prefix of the API's paths, without a slash at its end. */}}
{{- define "sempre-server.basePath" -}}
{{- .Values.server.apiBasePath | trimSuffix "/" -}}
{{- end -}}

{{/* The host names that traffic comes in by, as a list. */}}
{{- define "sempre-server.domainHosts" -}}
{{- if .Values.domain -}}
- api.{{ .Values.domain }}
- app.{{ .Values.domain }}
{{- end -}}
{{- end -}}
