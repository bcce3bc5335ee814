"""What templates of automations see, through the sandbox that they see it through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sempre.core.automation_views import EventView, Labels, ObjectView
from sempre.core.templates import RenderError, render, render_value
from sempre.server.actions.filters import filters_for

UI = "https://sempre.example/ui"
ID = "0c5e6f7a-0000-4000-8000-000000000001"
EVENT = {
    "id": ID,
    "occurred": "2026-11-20T16:05:00Z",
    "event": "it.happened",
    "resource": {
        "prefect.resource.id": f"prefect.flow-run.{ID}",
        "prefect.resource.name": "sly-fox",
        "a": "short",
        "a.b": "long",
        "a.b.c": "longer",
    },
    "related": [
        {"prefect.resource.id": "prefect.flow.1", "prefect.resource.role": "flow", "prefect.resource.name": "first"},
        {"prefect.resource.id": "prefect.flow.2", "prefect.resource.role": "flow", "prefect.resource.name": "second"},
    ],
    "payload": {"n": 7, "deep": {"list": [1, 2]}},
    "follows": None,
}
FLOW_RUN = ObjectView("flow-run", {"id": ID, "name": "sly-fox", "state": {"type": "FAILED"}})
CONTEXT: dict[str, Any] = {
    "event": EventView(EVENT, UI),
    "labels": Labels({"prefect.resource.id": "thing.1"}),
    "flow_run": FLOW_RUN,
    "automation": ObjectView("automation", {"id": ID, "name": "mine", "description": "<b>"}),
}


def rendered(source: str) -> str:
    return render(source, CONTEXT, filters_for(UI))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ event.event }} {{ event.id }}", f"it.happened {ID}"),
        ("{{ event.resource.id }}", f"prefect.flow-run.{ID}"),
        ("{{ event.resource.name }}", "sly-fox"),
        ('{{ event.resource["a.b"] }}', "long"),
        ("{{ event.resource.labels.a }}|{{ event.resource.labels.a.b }}|{{ event.resource.labels.a.b.c }}",
         "short|long|longer"),
        ("{{ event.resource.labels.a.x }}{{ event.resource.labels.nothing.at.all }}", ""),
        ("{% if event.resource.labels.nothing %}yes{% else %}no{% endif %}", "no"),
        ("{{ event.resource.labels.a.b == 'long' }}", "True"),
        ("{{ labels.prefect.resource.id }}={{ labels['prefect.resource.id'] }}", "thing.1=thing.1"),
        ("{% for r in event.related %}{{ r.role }}:{{ r.name }} {% endfor %}", "flow:first flow:second "),
        ('{{ event.resource_in_role["flow"].name }}', "first"),
        ('{{ event.resource_in_role["nobody"].name }}', ""),
        ("{{ event.payload.deep.list[1] }}{{ event.payload.missing.too }}", "2"),
        ("{{ event.url }}", f"{UI}/events/event/2026-11-20/{ID}"),
        ("{{ event | ui_url }}", f"{UI}/events/event/2026-11-20/{ID}"),
        ("{{ flow_run.name }} {{ flow_run.state.type }} {{ flow_run.state.nothing.here }}", "sly-fox FAILED "),
        ("{{ nobody.knows.this }}", ""),
        ("{{ automation.description }}", "<b>"),
        ("{{ automation.description | tojson }}", '"\\u003cb\\u003e"'),
        ("{{ event | ui_resource_events_url }}", f"{UI}/events?resource=prefect.flow-run.{ID}"),
        ("{{ flow_run | ui_resource_events_url }}", f"{UI}/events?resource=prefect.flow-run.{ID}"),
        ("{{ 'x/flow-run/" + ID + "/y' | flow_run_id }}", ID),
        ("{{ 1234567 | humanize_intcomma }} {{ 3 | humanize_ordinal }}", "1,234,567 3rd"),
        ("{{ 2048 | humanize_naturalsize }} {{ 65 | humanize_naturaldelta }}", "2.0 kB a minute"),
    ],
)  # fmt: skip
def test_a_template_reads(source: str, text: str) -> None:
    assert rendered(source) == text


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("flow", f"flows/flow/{ID}"),
        ("flow-run", f"runs/flow-run/{ID}"),
        ("task-run", f"runs/task-run/{ID}"),
        ("deployment", f"deployments/deployment/{ID}"),
        ("work-pool", "work-pools/work-pool/mine"),
        ("work-queue", f"work-queues/work-queue/{ID}"),
        ("concurrency-limit", f"concurrency-limits/concurrency-limit/{ID}"),
        ("automation", f"automations/automation/{ID}"),
        ("block-document", f"blocks/block/{ID}"),
    ],
)
def test_every_kind_of_object_has_its_page(kind: str, page: str) -> None:
    thing = ObjectView(kind, {"id": ID, "name": "mine"})
    assert render("{{ thing | ui_url }}", {"thing": thing}, filters_for(UI)) == f"{UI}/{page}"


def test_views_turn_to_json_as_what_they_are() -> None:
    assert json.loads(rendered("{{ event | tojson }}")) == EVENT
    assert json.loads(rendered("{{ flow_run | tojson }}")) == dict(FLOW_RUN)
    assert render_value("{{ event.resource }}", CONTEXT, filters_for(UI)) == EVENT["resource"]
    assert render_value("{{ event.payload.n }}", CONTEXT, filters_for(UI)) == 7
    assert render_value("{{ labels }}", CONTEXT, filters_for(UI)) == {"prefect.resource.id": "thing.1"}


@pytest.mark.parametrize(
    "source",
    [
        "{{ event._ui }}",
        "{{ event.__class__.__mro__ }}",
        "{{ flow_run._kind }}",
        "{{ event.resource.labels._labels }}{{ labels.a._name }}",
        "{{ labels.__class__ }}",
    ],
)
def test_what_is_inside_stays_inside(source: str) -> None:
    try:
        assert rendered(source) == ""
    except RenderError:
        return


@pytest.mark.parametrize(
    "source",
    [
        "{{ event.update({'event': 'x'}) }}",
        "{{ event.pop('event') }}",
        "{{ event.related.append(1) }}",
        "{{ labels.setdefault('a', 'b') }}",
        "{% for a in range(100) %}{% for b in range(100) %}{{ 'x' * 100 }}{{ 'y' * 100 }}{% endfor %}{% endfor %}",
        "{{ 'x' * 10000000000 }}",
        "{% for a in range(1000000) %}x{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% include 'x' %}",
    ],
)
def test_a_template_that_means_harm_fails(source: str) -> None:
    with pytest.raises(RenderError):
        rendered(source)
    assert CONTEXT["event"]["event"] == "it.happened"
