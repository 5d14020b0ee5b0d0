"""A stand-in of the W&B service that answers what its public client asks: GraphQL over HTTP, on this machine alone.

It was written from what the client sends: who is logged in, the runs of a project page by page, the keys of a run's
history, and that history, of which a part lies in exported Parquet files and the rest is live.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast

KEY = "a" * 40


@dataclass
class StoredRun:
    """One run as the service holds it; `exported` rows of its history lie in a Parquet file, the others are live."""

    run_id: str
    name: str
    rows: list[dict[str, Any]]
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    state: str = "finished"
    exported: int = 0
    hidden: bool = False  # as of an active run whose history the service does not show yet

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            row.setdefault("_step", number)
            row.setdefault("_timestamp", 1.7e9 + number)


@dataclass
class WandbApi:
    """The service. `projects` is what it holds, `asked` what it was asked, `limits` how often it refuses what."""

    projects: dict[str, list[StoredRun]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)
    retry_after: str = "1"
    valid_key: bool = True
    url: str = ""

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """Hold nothing, as at the beginning."""
        self.projects, self.asked, self.limits, self.valid_key = {}, [], {}, True

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.asked)

    def answer(self, operation: str, variables: dict[str, Any]) -> Any:
        answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "Viewer": lambda _: {"viewer": self._viewer()},
            "GetDefaultEntity": lambda _: {"viewer": self._viewer()},
            "Runs": self._runs,
            "RunHistoryKeys": lambda asked: self._of_run(asked, "historyKeys", _history_keys),
            "RunParquetHistory": lambda asked: self._of_run(asked, "parquetHistory", self._parquet),
            "HistoryPage": lambda asked: self._of_run(asked, "history", lambda run: _page(run, asked)),
            "SampledHistoryPage": lambda asked: self._of_run(asked, "sampledHistory", lambda run: _sampled(run, asked)),
        }
        return answers[operation](variables)

    def parquet(self, run_id: str) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        run = next(run for runs in self.projects.values() for run in runs if run.run_id == run_id)
        rows = run.rows[: run.exported]
        names = dict.fromkeys(name for row in rows for name in row)
        made = io.BytesIO()
        pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), made)
        return made.getvalue()

    def _viewer(self) -> dict[str, Any] | None:
        who = {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
        return who if self.valid_key else None

    def _runs(self, asked: dict[str, Any]) -> Any:
        runs = self.projects.get(f"{asked['entity']}/{asked['project']}")
        if runs is None:
            return {"project": None}
        for condition in json.loads(asked["filters"]).get("$and", []):
            runs = [
                run for run in runs if all(run.state == value for key, value in condition.items() if key == "state")
            ]
        start = int(asked["cursor"] or 0)
        page = runs[start : start + asked["perPage"]]
        end = start + len(page)
        edges = [{"node": _node(run), "cursor": str(start + i + 1)} for i, run in enumerate(page)]
        info = {"endCursor": str(end), "hasNextPage": end < len(runs)}
        return {
            "project": {
                "internalId": "1", "runCount": len(runs), "readOnly": False, "runs": {"edges": edges, "pageInfo": info}
            }
        }  # fmt: skip

    def _of_run(self, asked: dict[str, Any], name: str, make: Callable[[StoredRun], Any]) -> Any:
        wanted = asked.get("run") or asked.get("runName") or asked.get("name")
        run = next(r for r in self.projects[f"{asked['entity']}/{asked['project']}"] if r.run_id == wanted)
        return {"project": {"run": {name: make(run)}}}

    def _parquet(self, run: StoredRun) -> dict[str, Any]:
        urls = [f"{self.url}/parquet/{run.run_id}"] if run.exported else []
        live = [] if run.hidden else [{"_step": row["_step"]} for row in run.rows[run.exported :]]
        return {"parquetUrls": urls, "liveData": live}


def _node(run: StoredRun) -> dict[str, Any]:
    return {
        "projectId": "1",
        "id": f"storage-{run.run_id}",
        "name": run.run_id,
        "displayName": run.name,
        "state": run.state,
        "config": json.dumps({key: {"value": value, "desc": None} for key, value in run.config.items()}),
        "createdAt": "2024-01-01T00:00:00Z",
        "heartbeatAt": "2024-01-01T00:00:00Z",
        "summaryMetrics": json.dumps(dict(run.summary)),
        "systemMetrics": "{}",
        "historyLineCount": len(run.rows),
        "tags": [],
        "user": {"name": "me", "username": "me"},
        "historyKeys": _history_keys(run),
    }


def _history_keys(run: StoredRun) -> dict[str, Any]:
    if run.hidden:
        return {"keys": {}, "lastStep": -1}
    names = dict.fromkeys(name for row in run.rows for name in row)
    return {"keys": {name: {"typeCounts": [{"type": "number"}]} for name in names}, "lastStep": run.rows[-1]["_step"]}


def _page(run: StoredRun, asked: dict[str, Any]) -> list[str]:
    rows = [row for row in run.rows[run.exported :] if asked["minStep"] <= row["_step"] < asked["maxStep"]]
    return [json.dumps(row) for row in rows[: asked["pageSize"]]]


def _sampled(run: StoredRun, asked: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """As many rows as are asked for of those that hold every key: of more some are left out."""
    spec = json.loads(asked["spec"])
    keys = dict.fromkeys(spec["keys"])
    rows: Sequence[dict[str, Any]] = [
        {key: row[key] for key in keys}
        for row in run.rows[run.exported :]
        if spec["minStep"] <= row["_step"] <= spec["maxStep"] and all(key in row for key in keys)
    ]
    every = max(1, -(-len(rows) // spec["samples"]))
    return [list(rows[::every])]


class _Server(ThreadingHTTPServer):
    def __init__(self, api: WandbApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api

    def handle_error(self, *_: object) -> None:
        """A client that gave up while it was answered."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

    @property
    def api(self) -> WandbApi:
        return cast("_Server", self.server).api

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        """An exported file, or the part of it that is asked for: a Parquet file is read from its end."""
        if not self.path.startswith("/parquet/"):
            self._send(404, b"")
            return
        body = self.api.parquet(self.path.rpartition("/")[2])
        begin, dash, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not dash:
            self._send(200, body)
            return
        first = int(begin) if begin else max(0, len(body) - int(end))
        last = min(int(end), len(body) - 1) if begin and end else len(body) - 1
        self._send(206, body[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(body)}"})

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.api.parquet(self.path.rpartition("/")[2]))))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.startswith("/graphql"):
            self._send(200, b"{}")
            return
        asked = json.loads(body)
        operation = asked["query"].partition("query ")[2].partition("(")[0].partition("{")[0].strip()
        variables = asked.get("variables") or {}
        self.api.asked.append((operation, variables))
        if self.api.limits.get(operation, 0) > 0:
            self.api.limits[operation] -= 1
            self._send(429, b'{"errors": [{"message": "rate limit exceeded"}]}', {"Retry-After": self.api.retry_after})
            return
        self._send(200, json.dumps({"data": self.api.answer(operation, variables)}).encode())

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
