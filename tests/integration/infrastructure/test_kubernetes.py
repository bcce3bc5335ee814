"""Runs as Kubernetes jobs: from their creation to their end, through everything that breaks in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from sempre.client import Client
from sempre.core.dispatching import waiting_id
from sempre.settings import ClientSettings
from sempre.workers.base import Found, InfrastructureError, NotStartedNow
from sempre.workers.configuration import JobConfiguration
from sempre.workers.kubernetes import runs as telling
from sempre.workers.kubernetes.diagnosis import Diagnosis
from sempre.workers.kubernetes.infrastructure import KubernetesInfrastructure
from tests.integration.infrastructure.runs import claimed_run, events, lines, states, until
from tests.support.jobs import job
from tests.support.kube_api import Fault, KubeApi, open_kube_api
from tests.support.net import free_port


@pytest.fixture
async def kube(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[KubeApi]:
    async with open_kube_api() as opened:
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(opened.kubeconfig()))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.setenv("SEMPRE_KUBERNETES_OBSERVER_OTHER_JOB_WAIT_SECONDS", "0")
        monkeypatch.setenv("SEMPRE_KUBERNETES_WORKER_CREATE_JOB_JITTER_SECONDS", "0")
        monkeypatch.setenv("SEMPRE_KUBERNETES_WORKER_CREATE_JOB_PAUSE_SECONDS", "0")
        monkeypatch.setattr(telling, "OTHERS_SECONDS", 0.5)
        monkeypatch.setattr("sempre.workers.kubernetes.following.PAUSES", (0.02,))
        monkeypatch.setattr("sempre.workers.kubernetes.settling.PAUSES", (0.02,))
        yield opened


@asynccontextmanager
async def worker(settings: ClientSettings, name: str = "Worker 1") -> AsyncIterator[KubernetesInfrastructure]:
    opened = KubernetesInfrastructure(worker_name=name, work_pool_name="pool", settings=settings)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


async def begun(kube: KubeApi, infrastructure: KubernetesInfrastructure, of: JobConfiguration) -> dict[str, Any]:
    """Start a run; its job, as the cluster has it."""
    namespace, name = (await infrastructure.start(of)).split(":")
    return kube.things["jobs", namespace, name]


def of_runs(kube: KubeApi) -> list[dict[str, Any]]:
    """The jobs that execute runs."""
    return [each for each in kube.all("jobs") if "prefect.io/flow-run-id" in each["metadata"]["labels"]]


def identifier(started: dict[str, Any]) -> str:
    return f"{started['metadata']['namespace']}:{started['metadata']['name']}"


async def test_a_run_from_its_claim_to_its_end(
    kube: KubeApi, settings: ClientSettings, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    of = job("kubernetes", flow_run_id=await claimed_run(client))
    async with worker(settings) as infrastructure:
        started = await begun(kube, infrastructure, of)
        watching = asyncio.create_task(infrastructure.watch(of, identifier(started)))
        pod = await kube.add_pod(started)
        await until(lambda: states(client, of.flow_run_id), lambda seen: seen[-1] == ("InfrastructurePending", None))
        *_, claimed, waiting = await client.read_flow_run_states(of.flow_run_id)
        assert waiting.state_details.transition_id == waiting_id(str(claimed.state_details.transition_id))
        pod = await kube.run(pod)
        await client.set_flow_run_state(of.flow_run_id, {"type": "RUNNING"})
        kube.logs[pod["metadata"]["name"]] = [f"{kube.time(1)} hello", f"{kube.time(1.5)} from inside"]
        await client.set_flow_run_state(of.flow_run_id, {"type": "COMPLETED"})
        await kube.end(pod, 0)
        assert not watching.done()
        await kube.end_job(started)
        assert await watching == 0
    resource = f"prefect.kubernetes.pod.{pod['metadata']['uid']}"
    told = [f"prefect.kubernetes.pod.{phase}" for phase in ("pending", "running", "succeeded")]
    assert await until(lambda: events(client, resource), lambda seen: len(seen) == 3) == told
    assert capsys.readouterr().out == "hello\nfrom inside\n"
    assert (await states(client, of.flow_run_id))[-1][0] == "Completed"


async def test_a_lost_answer_makes_no_second_job(kube: KubeApi, settings: ClientSettings) -> None:
    async with worker(settings) as infrastructure:
        kube.faults = [Fault("POST", "/jobs$", carried_out=True)]
        lost = await infrastructure.start(job("kubernetes"))
        assert lost == identifier(kube.all("jobs")[0])
        kube.faults = [Fault("POST", "/jobs$", status=500, times=2)]
        await infrastructure.start(job("kubernetes"))
        kube.faults = [Fault("POST", "/jobs$", carried_out=True, times=1), Fault("POST", "/jobs$", times=2)]
        await infrastructure.start(job("kubernetes"))  # never confirmed, but found
        assert len(of_runs(kube)) == 3
        kube.faults = [Fault("POST", "/jobs$", status=403)]
        with pytest.raises(InfrastructureError, match="refused to create a Job with 403"):
            await infrastructure.start(job("kubernetes"))
        kube.faults = [Fault("POST", "/jobs$", times=3)]
        with pytest.raises(NotStartedNow, match="did not answer"):
            await infrastructure.start(job("kubernetes"))
        kube.faults = [Fault("POST", "/jobs$", status=503, times=3)]
        with pytest.raises(NotStartedNow, match="503"):
            await infrastructure.start(job("kubernetes"))
        assert len(of_runs(kube)) == 3


async def test_a_creation_that_is_on_its_way_comes_too_late(
    kube: KubeApi, settings: ClientSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(settings) as infrastructure:
        kube.faults = [Fault("POST", "/jobs$", late=True, times=3)]
        with pytest.raises(NotStartedNow, match="did not answer"):
            await infrastructure.start(job("kubernetes"))
        assert len(kube.on_their_way) == 3
        await kube.land()
        assert of_runs(kube) == []
        [empty] = kube.all("jobs")  # has the name, for a while
        assert (empty["spec"]["completions"], empty["spec"]["ttlSecondsAfterFinished"]) == (0, 3600)
        # Where no empty job may be made, time has to tell.
        monkeypatch.setattr("sempre.workers.kubernetes.settling.LANDING_SECONDS", 0.1)
        kube.faults = [Fault("POST", "/jobs$", times=3), Fault("POST", "/jobs$", status=403)]
        with pytest.raises(NotStartedNow, match="did not answer"):
            await infrastructure.start(job("kubernetes"))
        assert kube.all("jobs") == [empty]
        started = await infrastructure.start(job("kubernetes"))
        assert [started] == [identifier(each) for each in of_runs(kube)]


async def test_what_could_not_be_sent_is_handed_back_at_once(
    kube: KubeApi, settings: ClientSettings, tmp_path: Path
) -> None:
    config = kube.kubeconfig()
    config["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{free_port()}"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    async with worker(settings) as infrastructure:
        with pytest.raises(NotStartedNow, match="did not answer"):
            await asyncio.wait_for(infrastructure.start(job("kubernetes")), 60)


@pytest.mark.parametrize("lands", ["in time", "too late"])
async def test_a_worker_that_died_while_it_created_a_job(
    kube: KubeApi, settings: ClientSettings, tmp_path: Path, lands: str
) -> None:
    of = replace(job("kubernetes"), folder=tmp_path)
    kube.faults = [Fault("POST", "/jobs$", late=True, times=1000)]
    async with worker(settings) as dying:
        starting = asyncio.create_task(dying.start(of))
        await until(lambda: kube.on_their_way, bool)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    kube.faults = []
    if lands == "in time":
        await kube.land()
    async with worker(settings) as again:
        recovered = await again.recover(of.flow_run_id, tmp_path, None)
        await kube.land()
        made = [identifier(each) for each in of_runs(kube)]
        assert made == ([recovered] if lands == "in time" else [])
        assert (recovered is None, len(kube.all("jobs"))) == (lands == "too late", 1), "the run's or an empty one"
        assert await again.recover(of.flow_run_id, tmp_path, "default:known") == "default:known"
        assert await again.recover(of.flow_run_id, tmp_path / "nothing", None) is None


async def test_a_pod_that_never_ran_the_flow_crashes_its_run_once(
    kube: KubeApi, settings: ClientSettings, client: Client
) -> None:
    of = job("kubernetes", flow_run_id=await claimed_run(client))
    async with worker(settings) as infrastructure, worker(settings, "Worker 2"):
        started = await begun(kube, infrastructure, of)
        pod = await kube.run(await kube.add_pod(started))
        kube.logs[pod["metadata"]["name"]] = [f"{kube.time(1)} prefect: command not found"]
        await kube.end(pod, 127)
        await kube.end_job(started, failed=True)
        assert await infrastructure.watch(of, identifier(started)) == 127
        assert "not in the image" in (infrastructure.explain(127) or "")
        seen = await states(client, of.flow_run_id)
        assert seen[-1] == ("Crashed", "No active or succeeded pods found for any job")
        said = await until(lambda: lines(client, of.flow_run_id), lambda seen: len(seen) >= 2)
        await kube.put("pods", {**kube.all("pods")[0]})  # both hear of it again
        resource = f"prefect.kubernetes.pod.{pod['metadata']['uid']}"
        await until(lambda: events(client, resource), lambda seen: "prefect.kubernetes.pod.failed" in seen)
    assert said[1:] == ["prefect: command not found"]
    told = await events(client, resource)
    assert sorted(told) == sorted(set(told))
    assert [name for name, _ in await states(client, of.flow_run_id)].count("Crashed") == 1


@pytest.mark.parametrize("state", ["SCHEDULED", "PAUSED", "CANCELLING", "COMPLETED"])
async def test_runs_that_others_take_care_of_are_left_alone(
    kube: KubeApi, settings: ClientSettings, client: Client, state: str
) -> None:
    of = job("kubernetes", flow_run_id=await claimed_run(client))
    async with worker(settings) as infrastructure:
        started = await begun(kube, infrastructure, of)
        await client.set_flow_run_state(of.flow_run_id, {"type": "RUNNING"})
        await client.set_flow_run_state(of.flow_run_id, {"type": state}, force=True)
        await kube.remove("jobs", started)
        assert await infrastructure.watch(of, identifier(started)) is None
    assert (await client.read_flow_run(of.flow_run_id)).state_type == state


async def test_a_deleted_job(kube: KubeApi, settings: ClientSettings, client: Client) -> None:
    of = job("kubernetes", flow_run_id=await claimed_run(client))
    async with worker(settings) as infrastructure:
        started, other = await begun(kube, infrastructure, of), await begun(kube, infrastructure, of)
        await client.set_flow_run_state(of.flow_run_id, {"type": "RUNNING"})
        watching = asyncio.create_task(infrastructure.watch(of, identifier(other)))
        await kube.remove("jobs", started)
        # Another job has the run: it goes on.
        assert await infrastructure.watch(of, identifier(started)) in (0, None)
        assert (await states(client, of.flow_run_id))[-1][0] == "Running"
        await kube.remove("jobs", other)
        assert await watching is None
    assert (await states(client, of.flow_run_id))[-1] == ("Crashed", "Kubernetes job was deleted")


async def test_ends_are_seen_through_broken_and_expired_watches(
    kube: KubeApi, settings: ClientSettings, client: Client
) -> None:
    async with worker(settings) as infrastructure:
        jobs = [job("kubernetes", flow_run_id=await claimed_run(client)) for _ in range(3)]
        started = [await begun(kube, infrastructure, of) for of in jobs]
        watching = [
            asyncio.create_task(infrastructure.watch(of, identifier(each)))
            for of, each in zip(jobs, started, strict=True)
        ]
        await kube.break_streams()
        await kube.end_job(started[0])
        assert await watching[0] == 0
        kube.faults = [Fault("GET", "/(jobs|pods)$", status=503, times=4), Fault("GET", "/(jobs|pods)$", times=4)]
        await kube.break_streams()
        await kube.end_job(started[1])
        kube.expire()
        assert await watching[1] == 0
        # Gone while nobody could hear of it: missing in the next list.
        kube.faults = [Fault("GET", "/jobs$", times=4)]
        await kube.break_streams()
        await kube.remove("jobs", started[2])
        kube.expire()
        assert await watching[2] is None
        assert not any(fault.times for fault in kube.faults)


async def test_a_worker_that_starts_again_finds_its_jobs(
    kube: KubeApi, settings: ClientSettings, client: Client
) -> None:
    of = job("kubernetes", flow_run_id=await claimed_run(client))
    gone = job("kubernetes", flow_run_id=await claimed_run(client))
    async with worker(settings) as before, worker(settings, "Worker 2") as other:
        started, vanished = await begun(kube, before, of), await begun(kube, before, gone)
        assert await other.find() == []
    await client.set_flow_run_state(of.flow_run_id, {"type": "RUNNING"})
    await kube.end(await kube.add_pod(started), 9)
    await kube.end_job(started, failed=True)
    await kube.remove("jobs", vanished)
    async with worker(settings) as again:
        assert await again.find() == [Found(flow_run_id=of.flow_run_id, identifier=identifier(started))]
        assert await again.watch(of, identifier(started)) == 9
        assert await again.watch(gone, identifier(vanished)) is None
    assert (await states(client, of.flow_run_id))[-1] == ("Crashed", "No active or succeeded pods found for any job")


async def test_killing(kube: KubeApi, settings: ClientSettings) -> None:
    async with worker(settings) as infrastructure, worker(settings, "Worker 2") as other:
        of = job("kubernetes")
        started = await begun(kube, infrastructure, of)
        await kube.run(await kube.add_pod(started))
        kube.faults = [Fault("DELETE", "/jobs/", carried_out=True)]
        await infrastructure.kill(of, identifier(started), 30)
        assert kube.all("jobs") == kube.all("pods") == []
        await infrastructure.kill(of, identifier(started), 30)  # nothing to do
        found = Found(flow_run_id=of.flow_run_id, identifier=f"some-cluster:{identifier(started)}")
        await begun(kube, infrastructure, of)
        assert await other.clean_up(found)
        assert not await other.clean_up(Found(flow_run_id=of.flow_run_id, identifier="12"))


async def test_one_namespace_is_enough(kube: KubeApi, settings: ClientSettings, client: Client) -> None:
    kube.forbidden = lambda path: "/namespaces/" not in path
    of = job("kubernetes", {"namespace": "flows"}, flow_run_id=await claimed_run(client))
    async with worker(settings) as infrastructure:
        started = await begun(kube, infrastructure, of)
        watching = asyncio.create_task(infrastructure.watch(of, identifier(started)))
        await until(lambda: ("GET", "/api/v1/namespaces/flows/pods") in kube.requests, bool)
        await kube.end_job(started)
        assert await watching == 0
        assert ("GET", "/api/v1/namespaces/default/pods") in kube.requests


async def test_what_is_wrong_with_a_pod_is_said_once(
    kube: KubeApi, settings: ClientSettings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    tell = telling.RunTeller.diagnosed

    async def diagnosed(self: telling.RunTeller, run_id: UUID, diagnosis: Diagnosis, *, ours: bool) -> None:
        await tell(self, run_id, diagnosis, ours=ours)
        told.append(diagnosis.kind)

    monkeypatch.setattr(telling.RunTeller, "diagnosed", diagnosed)
    of = job("kubernetes", flow_run_id=await claimed_run(client))
    async with worker(settings) as infrastructure, worker(settings, "Worker 2"):
        pod = await kube.add_pod(await begun(kube, infrastructure, of))
        waiting = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
        pod = await kube.pod(pod, "Pending", waiting)
        await until(lambda: len(told), lambda count: count == 2)
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
        await kube.pod(pod, "Pending", waiting)
    async with worker(settings):  # and again it hears of it
        await until(lambda: len(told), lambda count: count == 3)
        said = await lines(client, of.flow_run_id)
    assert [line.split(":")[0] for line in said] == ["ImagePullError"]


async def test_the_environment_as_a_secret(kube: KubeApi, settings: ClientSettings) -> None:
    of = job("kubernetes", {"env": {"A": "hush"}})
    of.values["store_env_as_secret"] = True  # type: ignore[index]
    async with worker(settings) as infrastructure:
        started = await begun(kube, infrastructure, of)
        [secret] = kube.all("secrets")
        assert secret["metadata"]["ownerReferences"][0]["uid"] == started["metadata"]["uid"]
        kube.faults = [Fault("POST", "/jobs$", status=422)]
        with pytest.raises(InfrastructureError):
            await infrastructure.start(of)
        assert kube.all("secrets") == [secret]
