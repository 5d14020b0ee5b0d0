"""Claims about a writer that is killed: what it said is written stays, and no reader notices."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import traceback
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from support import CARD, MADE, only

from scaling_callback.ladder import Ladder
from scaling_callback.records import Observation

SEED = 20261126
LOSSES = 1000.0
"""Trials that losses tell apart: what is read must be what the last writer to report it wrote."""


def test_what_twenty_killed_writers_reported_stays_and_no_reader_raises_or_warns(tmp_path: Path) -> None:
    kill_writers(tmp_path, trials=20, seed=SEED)


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_what_two_hundred_killed_writers_reported_stays_and_no_reader_raises_or_warns(tmp_path: Path) -> None:
    kill_writers(tmp_path, trials=200, seed=SEED + 1)


def kill_writers(folder: Path, *, trials: int, seed: int) -> None:
    """In an interpreter of its own: it has no threads that a fork would lose."""
    command = [sys.executable, "-W", "error", __file__, str(folder / "ladder"), str(trials), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"seed {seed}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    told = dict(pair.split("=") for pair in done.stdout.split())
    # a fast machine's writers may end before their time
    assert int(told["killed"]) > trials // 3, f"seed {seed}: many writers must die while they write; {told}"
    assert int(told["observations"]) > 0, f"seed {seed}: and have written before; {told}"


class Reported:
    """What the writers said is written, as far as it has been heard."""

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}
        self.forecasts: set[float] = set()
        self.finished = False

    def hear(self, lines: list[str]) -> None:
        for line in lines:
            kind, first, last, loss = line.split(maxsplit=3)
            assert kind != "failed", loss
            self.finished = kind == "finished"
            if kind == "observed":
                self.losses |= dict.fromkeys(range(int(first), int(last)), float(loss))
            elif kind == "issued":
                self.forecasts.add(float(first))

    def check(self, reader: Ladder, trial: int) -> None:
        run = only(reader)
        held = dict(zip(run.curve.step.astype(int).tolist(), run.curve.loss.tolist(), strict=True))
        lost = {step: loss for step, loss in self.losses.items() if held.get(step, 0.0) < loss}
        assert not lost, f"trial {trial}: reported and lost: {dict(list(lost.items())[:5])} of {len(lost)}"
        assert len(held) == max(held, default=0), f"trial {trial}: steps without gaps"
        missing = self.forecasts - {made.at_tokens for made in reader.issued()}
        assert not missing, f"trial {trial}: forecasts reported and lost: {sorted(missing)[:5]}"
        assert run.completed or not self.finished, f"trial {trial}: the end was reported and lost"


def write_until_killed(folder: str, pipe: int, trial: int, begin: int, rng: random.Random) -> None:
    """Resume the run where its reports end, and report each write after it is done."""

    def say(kind: str, first: int = 0, last: int = 0, rest: object = 0) -> None:
        os.write(pipe, f"{kind} {first} {last} {rest}\n".encode())

    try:
        writer = Ladder(folder).start(CARD, resume=True)
        loss = 1.0 + trial / LOSSES
        # a training resumes from a checkpoint; a loop of one's own may only go on
        resumed_after = begin - 1.0 if rng.random() < 0.5 else None
        for _ in range(rng.choice([3, 10, 10_000, 10_000, 10_000])):
            end = begin + rng.choice([1, 1, 2, 100])
            rows = [Observation(tokens=1e3 * step, loss=loss, step=step) for step in range(begin, end)]
            writer.observe(rows, resumed_after=resumed_after)
            say("observed", begin, end, loss)
            begin, resumed_after = end, None
            if rng.random() < 0.2:
                writer.issue([replace(MADE, at_tokens=float(begin))])
                say("issued", begin)
        writer.finish()
        say("finished")
    except BaseException:  # noqa: BLE001  (the forked process must not go on as a test)
        say("failed", rest=traceback.format_exc().replace("\n", " | "))
    os._exit(0)


def run_trial(folder: str, trial: int, reported: Reported, reader: Ladder, rng: random.Random) -> bool:
    """Whether the writer was killed before it was done."""
    listen, speak = os.pipe()
    begin = max(reported.losses, default=0) + 1
    reported.finished = False
    own = random.Random(rng.random())
    child = os.fork()
    if child == 0:
        os.close(listen)
        write_until_killed(folder, speak, trial, begin, own)
    os.close(speak)
    dies_at = time.monotonic() + rng.uniform(0.001, 0.050)
    os.set_blocking(listen, False)
    rest = b""
    if rng.random() < 0.3 and reported.losses:  # somebody reads while it writes
        *lines, rest = drain(listen).split(b"\n")
        reported.hear([line.decode() for line in lines])
        reported.finished = False  # it may have begun a resumption that takes the end back
        reported.check(reader, trial)
    time.sleep(max(dies_at - time.monotonic(), 0.0))
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    *lines, rest = (rest + drain(listen)).split(b"\n")
    os.close(listen)
    assert not rest, f"a report is one write: {rest!r}"
    reported.hear([line.decode() for line in lines])
    return os.WIFSIGNALED(status)


def drain(pipe: int) -> bytes:
    said = b""
    while True:
        try:
            more = os.read(pipe, 65536)
        except BlockingIOError:
            return said
        if not more:
            return said
        said += more


def main(folder: str, trials: int, seed: int) -> None:
    rng = random.Random(seed)
    reported, reader = Reported(), Ladder(folder)
    Ladder(folder).start(CARD)
    killed = 0
    for trial in range(trials):
        killed += run_trial(folder, trial, reported, reader, rng)
        for ladder in [reader, Ladder(folder)] if rng.random() < 0.2 else [reader]:
            reported.check(ladder, trial)
    reported.check(Ladder(folder), trials)
    print(f"killed={killed} observations={len(reported.losses)} forecasts={len(reported.forecasts)}")  # noqa: T201


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
