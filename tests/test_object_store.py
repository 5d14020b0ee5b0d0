"""Claims about a ladder on an object store: real HTTP to an S3 endpoint on this machine."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support import CARD, MADE, points, steps

from scaling_callback.errors import InputError, RunTaken
from scaling_callback.ladder import Ladder
from scaling_callback.ladder.writer import MERGE_AFTER

boto3 = pytest.importorskip("boto3")
s3fs = pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")


def tell(endpoint: str, what: str, data: bytes = b"") -> None:
    """Tell the server how to behave."""
    request = urllib.request.Request(f"{endpoint}/moto-api/{what}", data, {"Content-Type": "text/plain"}, method="POST")
    urllib.request.urlopen(request).close()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an S3 server."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def ladder(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ladder]:
    """An empty ladder in a bucket, reached by the environment alone."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # a refused connection is not tried again and again
    s3fs.S3FileSystem.clear_instance_cache()  # they keep the environment that they were made in
    tell(endpoint, "reset")
    boto3.client("s3").create_bucket(Bucket="bucket")
    yield Ladder("s3://bucket/some/ladder")
    s3fs.S3FileSystem.clear_instance_cache()


def names() -> list[str]:
    """Every file of the ladder, as another client sees it."""
    found = boto3.client("s3").list_objects_v2(Bucket="bucket").get("Contents", [])
    return [entry["Key"].removeprefix("some/ladder/") for entry in found]


def test_what_is_written_is_merged_and_read_back(ladder: Ladder) -> None:
    reader = Ladder(ladder.location)
    assert not reader.exists()
    assert reader.runs() == ()
    writer = ladder.start(CARD)
    for step in range(1, MERGE_AFTER + 2):
        writer.observe(points(step))
    writer.issue([MADE])
    assert names() == [
        "a/card.json", "a/forecasts-000001.json", "a/observations-000001-000032.json", "a/observations-000033.json",
    ]  # fmt: skip
    assert reader.exists()
    assert [steps(run) for run in reader.runs()] == [list(range(1, MERGE_AFTER + 2))]
    writer.finish()

    assert names() == ["a/card.json", "a/forecasts-000001.json", "a/observations-000001-000034.json"]
    (run,) = reader.runs()
    assert run.completed
    assert reader.issued() == (MADE,)


def test_the_last_to_resume_a_run_writes_it(ladder: Ladder) -> None:
    old = ladder.start(CARD)
    old.observe(points(1, 2))
    new = Ladder(ladder.location).start(CARD, resume=True)
    with pytest.raises(RunTaken):
        old.observe(points(3, loss=9.0))
    new.observe(points(2, loss=2.0), resumed_after=1)

    (run,) = ladder.runs()
    assert run.curve.loss.tolist() == [3.0, 2.0]


def test_runs_that_start_under_one_name_at_one_time_get_folders_of_their_own(ladder: Ladder) -> None:
    at_once = threading.Barrier(4)

    def start(_index: int) -> str:
        own = Ladder(ladder.location)
        at_once.wait()
        writer = own.start(CARD)
        writer.observe(points(1))
        return writer.name

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(start, range(4))) == ["a", "a-2", "a-3", "a-4"]
    assert [(run.name, steps(run)) for run in ladder.runs()] == [(name, [1]) for name in ("a", "a-2", "a-3", "a-4")]


def test_a_reader_sees_whole_prefixes_while_runs_are_written(ladder: Ladder) -> None:
    count = MERGE_AFTER + 3

    def write(name: str) -> None:
        writer = Ladder(ladder.location).start(replace(CARD, name=name))
        for step in range(1, count + 1):
            writer.observe(points(step))
        writer.finish()

    before: dict[str, int] = {}
    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(write, name) for name in ("a", "b")]
        while not all(work.done() for work in writing):
            for run in ladder.runs():  # every warning is an error here
                assert steps(run) == list(range(1, len(run.curve) + 1))
                assert len(run.curve) >= before.get(run.name, 0), "what was once seen stays"
                before[run.name] = len(run.curve)
        for work in writing:
            work.result()
    assert [len(run.curve) for run in ladder.runs()] == [count, count]


def test_an_edited_card_is_seen_at_the_next_read(ladder: Ladder) -> None:
    ladder.start(CARD).observe(points(1))
    reader = Ladder(ladder.location)
    assert [run.card.note for run in reader.runs()] == [None]
    card = boto3.client("s3").get_object(Bucket="bucket", Key="some/ladder/a/card.json")["Body"].read()
    noted = card.replace(b'"note": null', b'"note": "a spike"')
    boto3.client("s3").put_object(Bucket="bucket", Key="some/ladder/a/card.json", Body=noted)

    assert [run.card.note for run in reader.runs()] == ["a spike"]


def test_credentials_that_are_refused_are_named_and_read_as_no_empty_ladder(ladder: Ladder, endpoint: str) -> None:
    writer = ladder.start(CARD)
    tell(endpoint, "reset-auth", b"0")  # from now on the server looks at them
    try:
        for ask in (ladder.runs, ladder.issued, ladder.exists):
            with pytest.raises(InputError, match=r"s3://bucket/some/ladder cannot be read .*Access Key Id"):
                ask()
        with pytest.raises(OSError, match="Forbidden"):  # what a HEAD is told
            writer.observe(points(1))
    finally:
        tell(endpoint, "reset-auth", b"inf")
    writer.observe(points(1))
    assert [steps(run) for run in ladder.runs()] == [[1]]


def test_an_endpoint_that_nobody_answers_is_named_in_bounded_time(
    ladder: Ladder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder.start(CARD)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3fs.S3FileSystem.clear_instance_cache()
    began = time.monotonic()

    with pytest.raises(InputError, match=r"s3://bucket/some/ladder cannot be read .*Could not connect"):
        Ladder(ladder.location).runs()
    with pytest.raises(OSError, match="Could not connect"):
        Ladder(ladder.location).start(replace(CARD, name="b"))
    assert time.monotonic() - began < 30


def test_a_bucket_that_is_missing_is_an_empty_ladder(ladder: Ladder) -> None:
    assert ladder.runs() == ()
    assert Ladder("s3://no-such-bucket/ladder").runs() == ()
    assert not Ladder("s3://no-such-bucket/ladder").exists()
