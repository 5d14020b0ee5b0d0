"""A stand-in of the W&B service on loopback: what a run sends online, kept where a test can look at it.

It answers the GraphQL operations that a run and a workspace need, takes the file stream and the uploads, and can be
told to fail. Nothing in it is checked: it is what the client says that counts.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

KEY = "0" * 40
ENTITY = "someone"
GONE = 0

Variables = dict[str, Any]


@dataclass
class Received:
    """What one run has sent."""

    variables: Variables = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = False


@dataclass
class Service:
    """The service: where it is, what came, and what it answers with if not with 200."""

    url: str = ""
    runs: dict[str, Received] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    alerts: list[Variables] = field(default_factory=list)
    artifacts: dict[str, Variables] = field(default_factory=dict)
    views: list[Variables] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fault: Callable[[str], int | None] = lambda _: None

    def only(self) -> Received:
        """What the one run has sent."""
        (run,) = self.runs.values()
        return run

    def break_down(self, code: int | None) -> None:
        """From now on answer with this status; with `None` take connections and answer nothing at all."""
        self.fault = lambda _: code or GONE

    def recover(self) -> None:
        """Answer as before."""
        self.fault = lambda _: None

    def answer(self, query: str, variables: Variables) -> Any:
        """What a GraphQL operation gives; an operation that is not known gives nothing."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found.group(1) if found else ""
        self.asked.append(name)
        make = ANSWERS.get(name)
        return make(self, variables) if make else {}

    def stream(self, run: str, sent: dict[str, Any]) -> None:
        """One post of a run's file stream."""
        received = self.runs.setdefault(run, Received())
        files = sent.get("files", {})
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            received.history.append(json.loads(line))
        for line in files.get("wandb-summary.json", {}).get("content", []):
            received.summary = json.loads(line)
        received.complete = received.complete or bool(sent.get("complete"))


def _viewer(_: Service, __: Variables) -> Any:
    teams = {"edges": [{"node": {"name": ENTITY}}]}
    return {"viewer": {"id": "1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}", "teams": teams}}


def _upsert_run(service: Service, variables: Variables) -> Any:
    run = service.runs.setdefault(variables["name"], Received())
    run.variables |= {name: value for name, value in variables.items() if value is not None}
    if variables["config"]:
        run.config |= {name: entry["value"] for name, entry in json.loads(variables["config"]).items()}
    entity = {"id": "1", "name": ENTITY}
    bucket = {
        "id": "1", "name": variables["name"], "displayName": "run", "description": "", "config": "{}",
        "sweepName": None, "project": {"id": "1", "name": variables["project"], "entity": entity},
        "historyLineCount": 0,
    }  # fmt: skip
    return {"upsertBucket": {"bucket": bucket, "inserted": len(run.variables) > 0}}


def _create_files(service: Service, variables: Variables) -> Any:
    files = [{"name": name, "uploadUrl": f"{service.url}/upload/{name}"} for name in variables["files"]]
    return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}


def _create_artifact(service: Service, variables: Variables) -> Any:
    given = variables.get("input", variables)
    name = given.get("artifactCollectionName") or given.get("artifactCollectionNames", [""])[0]
    service.artifacts[name] = given
    artifact = {"id": name, "state": "PENDING", "artifactSequence": {"id": "1", "latestArtifact": None}}
    return {"createArtifact": {"artifact": artifact}}


def _create_manifest(service: Service, _: Variables) -> Any:
    upload = {
        "id": "1", "displayName": "wandb_manifest.json", "uploadUrl": f"{service.url}/upload/wandb_manifest.json",
        "uploadHeaders": [],
    }  # fmt: skip
    return {"createArtifactManifest": {"artifactManifest": {"id": "1", "file": upload}}}


def _create_artifact_files(service: Service, variables: Variables) -> Any:
    made = [
        {
            "node": {
                "id": "1", "name": spec["name"], "displayName": spec["name"],
                "uploadUrl": f"{service.url}/upload/artifact/{spec['name']}", "uploadHeaders": [],
                "storagePath": spec["name"], "uploadMultipartUrls": None,
                "artifact": {"id": spec["artifactID"]},
            }
        }
        for spec in variables.get("input", variables)["artifactFiles"]
    ]  # fmt: skip
    return {"createArtifactFiles": {"files": {"edges": made}}}


def _commit(_: Service, __: Variables) -> Any:
    return {"commitArtifact": {"artifact": {"id": "1", "digest": ""}}}


def _alert(service: Service, variables: Variables) -> Any:
    service.alerts.append(variables)
    return {"notifyScriptableRunAlert": {"success": True}}


def _view(service: Service, variables: Variables) -> Any:
    service.views.append(variables)
    return {"upsertView": {"view": {"id": "1", "name": variables["name"]}, "inserted": True}}


ANSWERS: dict[str, Callable[[Service, Variables], Any]] = {
    "Viewer": _viewer,
    "UpsertBucket": _upsert_run,
    "CreateRunFiles": _create_files,
    "CreateArtifact": _create_artifact,
    "CreateArtifactManifest": _create_manifest,
    "CreateArtifactFiles": _create_artifact_files,
    "CommitArtifact": _commit,
    "NotifyScriptableRunAlert": _alert,
    "UpsertView2": _view,
    "GetDefaultEntity": _viewer,
    "ArtifactType": lambda _, __: {"project": None},
    "ServerFeaturesQuery": lambda _, __: {"serverInfo": {"features": []}},
}
"""What is answered, by the name of the operation."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service

    def log_message(self, *_: Any) -> None:
        """Nothing: a test prints what it finds wrong."""

    def do_POST(self) -> None:
        self._take("POST")

    def do_PUT(self) -> None:
        self._take("PUT")

    def do_GET(self) -> None:
        self._take("GET")

    def _take(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        code = self.service.fault(self.path)
        if code == GONE:
            self.close_connection = True
        elif code is not None:
            self._reply(code, {"error": "told to"})
        elif self.path == "/graphql":
            sent = json.loads(body)
            self._reply(200, {"data": self.service.answer(sent["query"], sent.get("variables") or {})})
        elif self.path.endswith("/file_stream"):
            self.service.stream(self.path.split("/")[-2], json.loads(body))
            self._reply(200, {})
        else:
            if method == "PUT":
                self.service.files[self.path.removeprefix("/upload/")] = body
            self._reply(200, {})

    def _reply(self, code: int, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Nothing: the client leaves its connections when it ends."""


@contextmanager
def serve() -> Iterator[Service]:
    """A service on a free port of loopback, for as long as the block runs."""
    service = Service()
    handler = type("Handler", (_Handler,), {"service": service})
    with _Server(("127.0.0.1", 0), handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def service() -> Iterator[Service]:
    """The stand-in."""
    with serve() as running:
        yield running
