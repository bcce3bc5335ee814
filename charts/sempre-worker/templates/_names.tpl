{{/* Names, labels, images. */}}

{{- define "sempre-worker.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "sempre-worker.fullname" -}}
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

{{- define "sempre-worker.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "sempre-worker.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sempre-worker.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* dict "root" $ "component" <label> */}}
{{- define "sempre-worker.selector" -}}
app.kubernetes.io/name: {{ include "sempre-worker.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* metadata of an object: dict "root" $ "component" <label> ["name" ...] ["annotations" dict] ["namespace" ...] */}}
{{- define "sempre-worker.metadata" -}}
name: {{ default (include "sempre-worker.fullname" .root) .name }}
{{- if not .clusterWide }}
namespace: {{ default (include "sempre-worker.namespace" .root) .namespace }}
{{- end }}
labels:
  {{- include "sempre-worker.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "sempre-worker.image" -}}
{{- $root := .root -}}
{{- with .worker.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest | quote -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default .prefectTag | default $root.Chart.AppVersion) | quote -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The workers of the release as a list of {name, component, worker}, each with what its pool says over what `worker` says.
An empty name is that of the release.
*/}}
{{- define "sempre-worker.all" -}}
{{- if .Values.pools -}}
{{- range .Values.pools }}
- name: {{ printf "%s-%s" (include "sempre-worker.fullname" $) .name }}
  component: {{ printf "worker-%s" .name }}
  worker:
    {{- mergeOverwrite (deepCopy $.Values.worker) (deepCopy (default dict .worker)) | toYaml | nindent 4 }}
{{- end }}
{{- else }}
- name: {{ include "sempre-worker.fullname" . }}
  component: worker
  worker:
    {{- .Values.worker | toYaml | nindent 4 }}
{{- end }}
{{- end -}}

{{/* "true" where some worker makes Jobs. */}}
{{- define "sempre-worker.anyKubernetes" -}}
{{- range include "sempre-worker.all" . | fromYamlArray -}}
{{- if eq .worker.config.type "kubernetes" }}true{{ end -}}
{{- end -}}
{{- end -}}
