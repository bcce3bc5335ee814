"""What a person does in the default UI arrives at the server."""

from __future__ import annotations

from tests.browser.house import House
from tests.browser.visit import Visit
from tests.support.wait import eventually


def test_a_variable(visit: Visit, house: House) -> None:
    visit.open("/variables", "tempo")
    visit.click("button", "Add Variable", "New Variable")
    visit.fill("Name", "encore_count")
    visit.write_code('{"bravo": 3}')
    visit.click("button", "Create", "encore_count")
    assert house.runs.get("/variables/name/encore_count")["value"] == {"bravo": 3}


def test_a_global_limit(visit: Visit, house: House) -> None:
    visit.open("/concurrency-limits", "stage-door")
    visit.page.locator("button[aria-label*=dd]").first.click()
    visit.fill("Name", "trumpets")
    visit.fill("Concurrency Limit", "4")
    visit.click("button", "Save", "trumpets")
    assert house.runs.get("/v2/concurrency_limits/trumpets")["limit"] == 4


def test_a_secret(visit: Visit, house: House) -> None:
    path = "/block_types/slug/secret/block_documents/name/box-office"
    visit.expects(404, "GET", path)  # is the name free?
    visit.open("/blocks/catalog/secret/create", "represents a secret value")
    visit.fill("Name", "box-office")
    visit.page.locator("form textarea, form input[type=password]").last.fill("open sesame")
    visit.click("button", "Save", "box-office", "********")
    document = house.runs.get(path, include_secrets="true")
    assert document["data"] == {"value": "open sesame"}


def test_a_work_pool(visit: Visit, house: House) -> None:
    visit.open("/work-pools/create", "Docker", "Kubernetes")
    visit.click("radio", "Process")
    visit.click("button", "Next", "Description")
    visit.fill("Name", "practice-room")
    visit.click("button", "Next", "Base Job Template", "Working Directory")
    visit.click("button", "Create", "practice-room")
    pool = house.runs.get("/work_pools/practice-room")
    assert (pool["type"], pool["status"]) == ("process", "NOT_READY")
    assert "command" in pool["base_job_template"]["variables"]["properties"]


def test_an_automation(visit: Visit, house: House) -> None:
    visit.open("/automations/create", "Trigger Template")
    visit.choose("Flow run state")
    visit.click("button", "Next", "Action")
    visit.choose("Cancel a flow run")
    visit.click("button", "Next", "Automation Name")
    visit.fill("Automation Name", "curtain")
    visit.click("button", "Save", "curtain", "Cancel flow run")
    made = {each["name"]: each for each in house.runs.post("/automations/filter")}["curtain"]
    assert made["enabled"]
    assert [action["type"] for action in made["actions"]] == ["cancel-flow-run"]
    # It means every run, and would end those of the tests below.
    assert house.runs.api.delete(f"/automations/{made['id']}").status_code == 204


def test_switching_an_automation(visit: Visit, house: House) -> None:
    automation = f"/automations/{house.ids['automation']}"
    visit.open(f"/automations/automation/{house.ids['automation']}", "da capo")
    visit.page.get_by_role("switch").first.click()
    visit.until(lambda: not house.runs.get(automation)["enabled"], "the automation is off")
    visit.page.get_by_role("switch").first.click()
    visit.until(lambda: house.runs.get(automation)["enabled"], "the automation is on again")


def test_pausing_a_schedule(visit: Visit, house: House) -> None:
    deployment = house.ids["deployment"]
    visit.open(f"/deployments/deployment/{deployment}", "Every 6 hours")

    def active() -> list[bool]:
        return sorted(schedule["active"] for schedule in house.runs.get(f"/deployments/{deployment}")["schedules"])

    assert active() == [True, True]
    visit.page.get_by_role("switch", checked=True).first.click()
    visit.until(lambda: active() == [False, True], "one schedule is paused")
    visit.page.get_by_role("switch", checked=False).first.click()
    visit.until(lambda: active() == [True, True], "it goes on")


def test_a_quick_run(visit: Visit, house: House) -> None:
    visit.open(f"/deployments/deployment/{house.ids['deployment']}", "da capo")
    visit.click("button", "Run", exact=True)
    visit.click("menuitem", "Quick run")
    created = visit.called("POST", "/create_flow_run")
    run = house.runs.wait_state(created.answer["id"], "COMPLETED", timeout=90)
    # The client sends what it logged last after its run has ended, and the page of an ended run looks once.
    eventually(
        lambda: any("the orchestra plays violin" in line for line in house.runs.logs(run["id"])) or None,
        "the run's last log has arrived",
        timeout=30,
    )
    visit.open(f"/runs/flow-run/{run['id']}", run["name"], "the orchestra plays violin", "Completed")


def test_a_custom_run_and_its_end(visit: Visit, house: House) -> None:
    visit.open(f"/deployments/deployment/{house.ids['deployment']}/run", "instrument")
    visit.fill("Run Name", "long-rehearsal")
    visit.fill("linger", "600", exact=False)
    visit.click("button", "Submit")
    created = visit.called("POST", "/create_flow_run")
    assert created.body["parameters"]["linger"] == 600
    run_id = created.answer["id"]
    house.runs.wait_state(run_id, "RUNNING", timeout=90)
    visit.open(f"/runs/flow-run/{run_id}", "long-rehearsal", "Running")
    visit.click("button", "Open menu")
    visit.click("menuitem", "Cancel")
    visit.click("button", "Cancel Flow Run")
    house.runs.wait_state(run_id, "CANCELLED", timeout=90)


def test_deleting_a_run(visit: Visit, house: House) -> None:
    run_id = house.ids["cacophony"]
    visit.open(f"/runs/flow-run/{run_id}", "cacophony-one")
    visit.click("button", "Open menu")
    visit.click("menuitem", "Delete")
    visit.click("button", "Delete")
    visit.until(lambda: house.runs.api.get(f"/flow_runs/{run_id}").status_code == 404, "the run is gone")
