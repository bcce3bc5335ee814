"""Results and code in S3, Google Cloud Storage and Azure Blob Storage, through the libraries that people have
(make storages)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from sempre.sdk import remote_files
from sempre.sdk.deploying.steps import object_stores as steps
from sempre.sdk.deploying.steps.remote import pull_from_remote_storage, push_to_remote_storage
from sempre.sdk.deploying.storages import RemoteStorage
from sempre.sdk.errors import ConfigurationError, MissingResult, StorageError
from sempre.sdk.filesystems import RemoteFileSystem
from sempre.sdk.flows import flow
from sempre.sdk.results.storages import FsspecStorage
from sempre.sdk.results.store import ResultStore, read_metadata
from sempre.sdk.tasks import task
from tests.support.net import LOOPBACK, free_port
from tests.support.object_stores import S3, AzureBlobs, GoogleStorage, ObjectStore
from tests.support.relay import Relay
from tests.unit.sdk.fakes import FakeWorld

pytestmark = [
    pytest.mark.storages,
    # The libraries close what they have open when they are collected, which may be in the middle of another test.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(params=[S3, GoogleStorage, AzureBlobs], ids=lambda kind: kind.__name__)
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """A store. What the libraries wait between attempts by themselves is shortened to nothing."""
    # gcsfs would ask for the kind of each bucket by gRPC, of which the stand-in knows nothing.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    azure = "azure.storage.blob._shared.policies_async.ExponentialRetry.get_backoff_time"
    monkeypatch.setattr("gcsfs.retry.min", lambda *_: 0.01, raising=False)
    monkeypatch.setattr(azure, lambda *_: 0.01)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with request.param() as started:
        yield started


@pytest.fixture
def environment(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ObjectStore:
    """The store as the URL alone finds it: all else is in the environment, as on a machine that was set up for it."""
    options = store.options()
    at = f"http://{LOOPBACK}:{store.port}"
    (tmp_path / "account.json").write_text(json.dumps(options.get("token")))
    for name, value in {
        "AWS_ACCESS_KEY_ID": options.get("key", ""),
        "AWS_SECRET_ACCESS_KEY": options.get("secret", ""),
        "AWS_ENDPOINT_URL": at,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "account.json"),
        "STORAGE_EMULATOR_HOST": at,
        "AZURE_STORAGE_CONNECTION_STRING": options.get("connection_string", ""),
    }.items():
        monkeypatch.setenv(name, value)
    forget()
    return store


def forget() -> None:
    """As in another process: fsspec makes its file systems anew."""
    for scheme in ("s3", "gs", "az"):
        fsspec.get_filesystem_class(scheme).clear_instance_cache()


def kept(store: ObjectStore) -> dict[str, bytes]:
    return store.buckets["bucket"]


# --- results


@pytest.mark.parametrize("serializer", ["json", "pickle", "compressed/json", "compressed/pickle"])
def test_results_are_found_again(world: FakeWorld, environment: ObjectStore, serializer: str) -> None:
    calls: list[int] = []
    place = environment.url("results/of here")

    @task(result_storage=place, result_serializer=serializer, result_storage_key="{parameters[x]}/so+so é.json")
    def work(x: int) -> dict[str, Any]:
        calls.append(x)
        return {"x": [x, "é"]}

    @flow(result_storage=place, result_serializer=serializer, persist_result=True)
    def works() -> Any:
        return work(1)

    first = works(return_state=True)
    forget()
    assert works() == {"x": [1, "é"]}
    assert calls == [1]
    assert world.states().count("Cached") == 1
    document = json.loads(kept(environment)["results/of here/1/so+so é.json"])
    assert document["metadata"]["serializer"]["type"] == serializer
    assert read_metadata(first.data.metadata.to_json()).result == {"x": [1, "é"]}


def test_what_is_not_there(world: FakeWorld, environment: ObjectStore) -> None:
    results = ResultStore(environment.url("results"))
    assert results.read("k") is None
    assert not results.exists("k")
    results.delete("k")
    record = results.record(1, "k")
    with pytest.raises(MissingResult, match="expired, was deleted"):
        read_metadata(record.metadata.to_json())  # type: ignore[union-attr]
    results.write(record)
    assert results.exists("k")
    results.delete("k")
    assert kept(environment) == {}


def test_a_result_of_several_parts(store: ObjectStore) -> None:
    """S3's library sends in parts from 100 MiB on, Azure's from 64, Google's from 50."""
    content = os.urandom(1 << 20) * 101
    storage = FsspecStorage(store.url("results"), **store.options())
    storage.write("large", content)
    assert storage.read("large") == content
    assert store.parts == {}
    assert sum(each.startswith(("PUT ", "POST ")) for each in store.requests) > 4


def test_a_block_with_options(store: ObjectStore) -> None:
    block = RemoteFileSystem(basepath=store.url("files"), settings=store.options())
    assert block.write_path("a/b.txt", b"content") == "a/b.txt"
    assert block.read_path("a/b.txt") == b"content"
    assert kept(store) == {"files/a/b.txt": b"content"}
    with pytest.raises(FileNotFoundError):
        block.read_path("a/c.txt")


# --- what goes wrong


def test_wrong_credentials(world: FakeWorld, store: ObjectStore) -> None:
    options = store.wrong_options()
    storage = FsspecStorage(store.url("results"), **options)
    for doing in (lambda: storage.read("k"), lambda: storage.write("k", b"1"), lambda: storage.exists("k")):
        with pytest.raises(StorageError, match=r"may not do this.*Credentials come from [A-Z_]+") as caught:
            doing()
        assert str(caught.value).startswith(f"{store.url('results')}: ")
        assert all(secret not in str(caught.value) for secret in map(str, options.values()))
    calls: list[int] = []

    @task(result_storage=storage, result_storage_key="k", retries=1)
    def work() -> None:
        calls.append(1)

    state = work(return_state=True)
    assert (state.name, calls) == ("Failed", []), "what it would come to could not be kept"
    assert "Credentials come from" in str(state.message)
    assert world.states() == ["Pending", "Running", "Retrying", "Failed"]
    assert kept(store) == {}


def test_no_credentials(environment: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS",
        "AZURE_STORAGE_CONNECTION_STRING",
    ):  # fmt: skip
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(Exception, match=r"Credentials come from [A-Z_]+") as caught:
        FsspecStorage(environment.url("results")).read("k")
    assert type(caught.value).__name__ in ("StorageError", "ConfigurationError")


def test_a_bucket_that_there_is_not(store: ObjectStore) -> None:
    storage = FsspecStorage(store.url().replace("bucket", "nowhere"), **store.options())
    with pytest.raises(StorageError, match=r"writing 'k' failed.*no such bucket.*Create it, or correct the URL"):
        storage.write("k", b"1")
    assert set(store.buckets) == {"bucket"}, "nobody asked for another one"


def test_a_store_that_cannot_be_reached(world: FakeWorld, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "PATIENCE", 0.5)
    calls: list[int] = []
    storage = FsspecStorage(store.url("results"), **store.options(free_port()))

    @task(result_storage=storage, result_storage_key="k")
    def work() -> None:
        calls.append(1)

    state = work(return_state=True)
    assert (state.name, calls) == ("Failed", [])
    assert "reading 'k' failed" in str(state.message)
    assert "could not be reached" in str(state.message)


def test_a_store_that_is_away_for_a_while(world: FakeWorld, store: ObjectStore) -> None:
    calls: list[int] = []

    @task(result_storage=FsspecStorage(store.url("results"), **store.options()), result_storage_key="k")
    def work() -> int:
        calls.append(1)
        store.faults = [503, 0, 0, 503]
        return 1

    assert work() == 1
    assert (store.faults, calls) == ([], [1])
    assert "results/k" in kept(store)


def test_a_store_that_does_not_come_back(world: FakeWorld, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "PATIENCE", 0.5)

    @task(result_storage=FsspecStorage(store.url("results"), **store.options()), result_storage_key="k")
    def work() -> int:
        store.faults = [503] * 1000
        return 1

    state = work(return_state=True)
    assert state.name == "Failed"
    assert "The result of the task run could not be kept" in str(state.message)
    assert "could not serve this" in str(state.message)


def test_connections_that_are_refused_for_a_while(
    world: FakeWorld, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay(store.port).start()
    warned: list[str] = []

    def mend(message: str) -> None:
        warned.append(message)
        relay.mend()

    monkeypatch.setattr(remote_files, "_warn", mend)
    try:
        storage = FsspecStorage(store.url("results"), **store.options(relay.port))
        storage.write("k", b"1")
        relay.cut()
        storage.write("k", b"2")
    finally:
        relay.stop()
    assert kept(store) == {"results/k": b"2"}
    assert "writing 'k' failed" in warned[0]
    assert "tried again" in warned[0]


# --- code


def files(directory: Path) -> dict[str, str]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_text() for path in found}


CODE = {"flows/one.py": "1", "flows/deep/er/two é.py": "22", "empty.py": "", "data/x.csv": "a,b"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Code in the working directory."""
    here = tmp_path / "here"
    for name, text in CODE.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    monkeypatch.chdir(here)
    return here


def test_code_goes_there_and_back(
    store: ObjectStore, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = store.url("code/of here")
    told = push_to_remote_storage(place, **store.options())
    assert told == {"url": place, "count": len(CODE)}
    assert kept(store) == {f"code/of here/{name}": text.encode() for name, text in CODE.items()}
    monkeypatch.chdir(tmp_path)
    found = Path(pull_from_remote_storage(place, **store.options())["directory"])
    assert files(found) == CODE
    del kept(store)["code/of here/data/x.csv"]
    kept(store)["code/of here/flows/one.py"] = b"changed"
    pull_from_remote_storage(place, **store.options())
    assert files(found) == {**{name: CODE[name] for name in CODE if name != "data/x.csv"}, "flows/one.py": "changed"}


def test_folders_that_a_console_made(store: ObjectStore, tmp_path: Path) -> None:
    kept(store).update({"code/": b"", "code/flows/": b"", "code/flows/one.py": b"1", "code/none/": b"", "other": b""})
    storage = RemoteStorage(store.url("code"), **store.options())
    storage.set_base_path(tmp_path / "there")
    storage.pull_code()
    assert files(storage.destination) == {"flows/one.py": "1"}


def test_the_whole_of_a_bucket(store: ObjectStore, tmp_path: Path) -> None:
    kept(store).update({"one.py": b"1", "flows/two.py": b"2"})
    storage = RemoteStorage(store.url(), **store.options())
    storage.set_base_path(tmp_path / "there")
    storage.pull_code()
    assert files(storage.destination) == {"one.py": "1", "flows/two.py": "2"}


def test_a_name_that_leads_elsewhere(store: ObjectStore, tmp_path: Path) -> None:
    kept(store).update({"code/one.py": b"1", "code/../../../outside.py": b"2"})
    storage = RemoteStorage(store.url("code"), **store.options())
    storage.set_base_path(tmp_path / "there")
    with pytest.raises(StorageError, match="leads out of its directory"):
        storage.pull_code()
    assert files(tmp_path) == {}


def test_code_that_cannot_be_had(store: ObjectStore, here: Path) -> None:
    for place in (store.url("none"), store.url(), store.url().replace("bucket", "nowhere")):
        with pytest.raises((ConfigurationError, StorageError), match=r"nothing at|no such bucket"):
            pull_from_remote_storage(place, **store.options())
    for place in (store.url("code"), store.url()):
        with pytest.raises(StorageError, match=r"listing the files failed.*Credentials come from"):
            pull_from_remote_storage(place, **store.wrong_options())
    with pytest.raises(StorageError, match=r"writing data/x.csv failed.*Credentials come from"):
        push_to_remote_storage(store.url("code"), **store.wrong_options())
    with pytest.raises(StorageError, match="no such bucket"):
        push_to_remote_storage(store.url().replace("bucket", "nowhere"), **store.options())
    assert store.buckets == {"bucket": {}}
    assert files(here) == CODE, "nothing is left behind"


def test_code_while_the_store_is_away_for_a_while(store: ObjectStore, here: Path) -> None:
    store.faults = [503, 0]
    push_to_remote_storage(store.url("code"), **store.options())
    assert len(kept(store)) == len(CODE)
    store.faults = [0, 503]
    found = pull_from_remote_storage(store.url("code"), **store.options())
    assert store.faults == []
    assert files(Path(found["directory"])) == CODE


def test_the_steps_of_existing_project_files(
    environment: ObjectStore, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = environment
    (here / ".prefectignore").write_text("data\n.prefectignore\n")
    if isinstance(store, S3):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        credentials = {"aws_access_key_id": store.key, "aws_secret_access_key": store.secret}
        parameters = {"endpoint_url": f"http://{LOOPBACK}:{store.port}"}
        steps.push_to_s3("bucket", "code", credentials, parameters)
        found = steps.pull_from_s3("bucket", "code", credentials, parameters)
    elif isinstance(store, GoogleStorage):
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
        account = {"service_account_info": store.options()["token"]}
        steps.push_to_gcs("bucket", "code", "project", account)
        found = steps.pull_from_gcs("bucket", "code", "project", account)
    else:
        monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
        steps.push_to_azure_blob_storage("bucket", "code", store.options())
        found = steps.pull_from_azure_blob_storage("bucket", "code", store.options())
    assert files(Path(found["directory"])) == {name: CODE[name] for name in CODE if name != "data/x.csv"}
