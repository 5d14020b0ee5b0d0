"""What reading a large ladder costs: CPU seconds and memory, beside plain `json.load` of the same files.

    python benchmarks/store.py [--runs 1000] [--observations 1000]

Three ladders of the same observations: as a writer leaves them that wrote them one by one and finished, as one
segment a run, and as writers leave them that are still training. Each is read in a process of its own, whose peak
memory is shown; so is what plain `json.load` takes to read and keep the same files.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pages import clock, met, table

from scaling_callback.ladder import Ladder, RunWriter
from scaling_callback.records import Observation, RunCard

FIRST, AGAIN, MEMORY = 5.0, 0.050, 500.0
"""CPU seconds of the first reading and of one after a new segment, and megabytes, that a ladder of 1000 runs of 1000
observations may take."""


def still_training(writer: RunWriter, seen: list[Observation]) -> None:
    """One by one, as long as the run goes on."""
    for one in seen:
        writer.observe([one])


def one_by_one(writer: RunWriter, seen: list[Observation]) -> None:
    """The same, to its end."""
    still_training(writer, seen)
    writer.finish()


def at_once(writer: RunWriter, seen: list[Observation]) -> None:
    """One segment."""
    writer.observe(seen)


WAYS: dict[str, Callable[[RunWriter, list[Observation]], None]] = {
    "one by one, finished": one_by_one,
    "one segment a run": at_once,
    "one by one, still training": still_training,
}


def observe(count: int) -> list[Observation]:
    """A curve with every figure that a training records, to the last digit."""
    steps = np.arange(1.0, count + 1)
    loss = 2.0 + 3.0 * steps**-0.3 + np.random.default_rng(0).normal(0, 1e-3, count)
    columns = (steps * 16_384, loss, steps, 1e-3 * (1 + np.cos(steps / count * np.pi)) / 2, 1.7e9 + steps / 7)
    return [Observation(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def build(folder: str, way: str, runs: int, observations: int) -> dict[str, float]:
    """Write a ladder: one run in earnest, and the others with cards of their own and its segments."""
    ladder = Ladder(folder)
    first = Path(folder) / "run-0"
    for run in range(runs):
        card = RunCard(name=f"run-{run}", params=1e6 * (1 + run), horizon=16_384.0 * observations, schedule="cosine")
        writer = ladder.start(card)
        if run == 0:
            WAYS[way](writer, observe(observations))
            continue
        for segment in first.glob("observations-*.json"):
            shutil.copy(segment, Path(folder) / f"run-{run}" / segment.name)
    return {}


def read(folder: str, _way: str, runs: int, _observations: int) -> dict[str, float]:
    """Read it, and twice again after one new segment of a run; of the later times the folders' own are known."""
    writer = Ladder(folder).start(RunCard(name="late", params=1e6))
    writer.observe(observe(1))
    ladder = Ladder(folder)
    (found, _), first = clock(lambda: (ladder.runs(), ladder.issued()))
    assert len(found) == runs + 1
    took: list[float] = []
    for count in (2, 3):
        writer.observe(observe(count)[-1:])
        (found, _), seconds = clock(lambda: (ladder.runs(), ladder.issued()))
        assert sum(len(run.curve) for run in found if run.name == "late") == count
        took.append(seconds)
    return {"first": first, "again": took[0], "later": took[1]}


def load(folder: str, _way: str, _runs: int, _observations: int) -> dict[str, float]:
    """The named alternative: `json.load` of every file."""
    kept, seconds = clock(lambda: [json.loads(path.read_bytes()) for path in Path(folder).rglob("*.json")])
    return {"first": seconds, "files": len(kept)}


WORK = {"build": build, "read": read, "load": load}


def work_apart(work: str, folder: str, way: str, options: argparse.Namespace) -> dict[str, float]:
    """A piece of work in a process of its own, and its peak memory in megabytes."""
    command = [sys.executable, __file__, work, folder, way]
    command += ["--runs", str(options.runs), "--observations", str(options.observations)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Measure, or do one piece of work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="*")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--observations", type=int, default=1000)
    options = parser.parse_args()
    if options.work:
        work, folder, way = options.work
        made = WORK[work](folder, way, options.runs, options.observations)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**made, "peak": peak}))
        return
    rows: list[list[str]] = []
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            work_apart("build", folder, way, options)
            plain, made = (work_apart(work, folder, way, options) for work in ("load", "read"))
        kept = made["first"] <= FIRST and made["again"] <= AGAIN and made["peak"] <= MEMORY
        rows.append(
            [
                way,
                f"{plain['files']:.0f}",
                f"{made['first']:.2f}",
                f"{plain['first']:.2f}",
                f"{1e3 * made['again']:.0f}",
                f"{1e3 * made['later']:.0f}",
                f"{made['peak']:.0f}",
                f"{plain['peak']:.0f}",
                met(kept),
            ]
        )
    head = [
        "ladder",
        "files",
        "first, CPU s",
        "json.load, CPU s",
        "again, CPU ms",
        "later, CPU ms",
        "peak MB",
        "json.load, peak MB",
    ]
    print(
        f"{options.runs} runs of {options.observations} observations; at most {FIRST:g} s, {1e3 * AGAIN:g} ms,", end=""
    )
    print(f" {MEMORY:g} MB\n")
    print(table([*head, "bounds"], rows))


if __name__ == "__main__":
    main()
