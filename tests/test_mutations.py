"""Claims about files that something has happened to: loaded, skipped by name or refused, and never anything else."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mutations import PATHS, TEXTS, mutate_ladder, mutate_table
from support import MADE, points, steps

from scaling_callback.cli import main
from scaling_callback.errors import InputError, LadderWarning
from scaling_callback.ladder import Ladder
from scaling_callback.records import Observation, RunCard
from scaling_callback.tables import check_table, read_table, write_table
from scaling_callback.testing import planted_ladder

SEED = 20261127
SLOWEST = 2.0
"""Seconds of this process, for one ladder or table: a busy machine adds none."""
LARGEST = 200 * 2**20
"""Bytes, beyond what the process held before."""
PATIENCE = 20.0
"""Seconds after which a case is taken to hang; a forecast from a mutated ladder is a fit, and may take some."""
RUNS = ("a", "b", "c", "d")
RESUMED_AT = 10**6

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from Linux")


def test_three_hundred_mutated_ladders_and_tables_are_loaded_skipped_by_name_or_refused(tmp_path: Path) -> None:
    run_cases(tmp_path, SEED, range(300))


@pytest.mark.stress
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_mutated_ladders_and_tables_are_loaded_skipped_by_name_or_refused(
    tmp_path: Path, part: int
) -> None:
    run_cases(tmp_path, SEED + 1, range(1000 * part, 1000 * (part + 1)))


def run_cases(folder: Path, seed: int, cases: range) -> None:
    """In an interpreter of its own: one that crashes or swells is found out, and named by its case."""
    command = [sys.executable, __file__, str(folder / "work"), str(seed), str(cases.start), str(cases.stop)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(folder)}
    )

    assert done.returncode == 0, (
        f"again: tests/test_mutations.py FOLDER {seed} N N+1\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    )


class Broken(Exception):
    """What must not happen."""


class Hangs(BaseException):
    """A case takes longer than anybody waits."""


class Told(NamedTuple):
    """What somebody was told instead of being given all."""

    warnings: list[str]
    refusals: list[str]

    def names(self, path: str) -> bool:
        return bool(self.refusals) or any(path in warning for warning in self.warnings)


def make_template(folder: Path) -> dict[str, list[int]]:
    """A sound ladder, something outside it, tables, and the steps of each run."""
    for name, run in zip(RUNS, planted_ladder(sizes=(1e7, 1e8), ratios=(5.0, 20.0), points=36), strict=True):
        writer = Ladder(folder / "ladder").start(
            replace(run.card, name=name, sizes={"params_total": run.params * 1.1}, recipe={"data": "c4"}, seed="1")
        )
        each = 1 if name == "a" else 9  # one run has a merged segment
        for begin in range(0, 36, each):
            writer.observe(list(run.curve)[begin : begin + each])
        writer.issue([replace(MADE, by=name)])
        writer.issue([replace(MADE, by=name, at_tokens=2.0)])
        if name != "d":
            writer.finish()
    runs = Ladder(folder / "ladder").runs()
    outside = Ladder(folder / "outside").start(RunCard(name="run", params=1e6, horizon=1e9))
    outside.observe(points(1, 2))
    (folder / "outside" / "secret.txt").write_text("nobody's business", encoding="utf-8")
    write_table(runs, folder / "table.csv")
    rows = [
        {"run": run.name, "params": run.params, "tokens": seen.tokens, "loss": seen.loss, "step": seen.step}
        for run in runs
        for seen in list(run.curve)[::6]
    ]
    (folder / "table.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), folder / "table.parquet")
    return {run.name: steps(run) for run in runs}


def check_case(template: Path, work: Path, sound: dict[str, list[int]], rng: random.Random) -> None:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(template, work)
    kind = rng.choice(["ladder"] * 6 + ["table.csv"] * 2 + ["table.jsonl"] * 2 + ["table.parquet"])
    asked = rng.random()
    if kind == "ladder":
        mutate_ladder(work / "ladder", rng, work / "outside")
        before = list_outside(work)
        check_reader(work / "ladder", sound)
        if asked < 0.3:
            ask(work / kind, forecast=asked < 0.03)
        check_writers(work / "ladder", rng)
        if (now := list_outside(work)) != before:
            raise Broken(f"something outside the ladder changed: {sorted(map(str, before.items() ^ now.items()))}")
        return
    mutate_table(work / kind, rng)
    before = list_outside(work)
    with limited():
        refused(lambda: read_table(work / kind))
    with limited():
        refused(lambda: check_table(work / kind))
    if asked < 0.3:
        ask(work / kind, forecast=asked < 0.03)
    if list_outside(work) != before:
        raise Broken("reading a table changed a file")


def check_reader(ladder: Path, sound: dict[str, list[int]]) -> None:
    """What is sound is there; what is not is named or refused."""
    broken = find_broken(ladder)
    with limited(), hearing() as told:
        reader = Ladder(ladder)
        found = refused(reader.runs, told)
        refused(reader.issued, told)
    held = {run.name: run for run in found or ()}
    for folder, files in broken.items():
        if told.names(f"{folder} cannot be listed"):  # a link to itself, and with it all that is in it
            continue
        # of a run whose card was skipped no more is read
        for name in ["card.json"] if "card.json" in files else files:
            # what a link leads to may be missing by its first number
            first = name[: name.index("-") + 7] if "-" in name and not (ladder / folder / name).exists() else name
            if not any(told.names(f"{folder}/{each}") for each in (name, first, "card.json")):
                raise Broken(f"{folder}/{name} is damaged and nobody was told; told: {told}")
    for name, wanted in sound.items():
        untouched = _is_as_before(ladder, name)
        if untouched and not told.refusals and (name not in held or held[name].curve.step.tolist() != wanted):
            raise Broken(f"run {name} was not touched and is not read whole; told: {told}")


def check_writers(ladder: Path, rng: random.Random) -> None:
    """A run is resumed and one is begun; what they report written is read by whoever reads their runs."""
    card = RunCard(name=rng.choice(RUNS), params=1e7, horizon=1e9)
    hostile = replace(card, name=rng.choice([*PATHS, *TEXTS]))
    written: set[str] = set()
    with limited(), hearing() as told:
        for given, resume in ((card, True), (card, False), (hostile, bool(rng.getrandbits(1)))):
            with contextlib.suppress(InputError, OSError):
                writer = Ladder(ladder).start(given, resume=resume)
                writer.observe([Observation(tokens=1e8, loss=3.0, step=RESUMED_AT)])
                written.add(writer.name)
                writer.issue([MADE])
                writer.finish()
    told.refusals.clear()
    with limited(), hearing() as told:
        found = refused(Ladder(ladder).runs, told)
    read = {run.name for run in found or () if RESUMED_AT in run.curve.step}
    # a mutated card may give its run another name
    if not told.refusals and len(read) < len(written):
        raise Broken(f"written {sorted(map(ascii, written))}, read {sorted(map(ascii, read))}; told: {told}")


def ask(path: Path, *, forecast: bool) -> None:
    """The command line ends in 0 or 2, and says each thing on one line."""
    command = ["forecast", str(path), "--target", "params=1e9,tokens=2e10"] if forecast else ["validate", str(path)]
    out, err = io.StringIO(), io.StringIO()
    with (
        limited(SLOWEST if not forecast else PATIENCE), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    ):  # fmt: skip
        status = main([*command, "--json"])
    lines = err.getvalue().split("\n")[:-1]
    if status not in (0, 2) or (status == 0) != bool(out.getvalue()):
        raise Broken(f"{command}: exit {status}, output {out.getvalue()[:200]!r}")
    if status == 0:
        json.loads(out.getvalue())
    warned = lines if status == 0 else lines[:-1]
    if not all(line.startswith("warning: ") for line in warned):
        raise Broken(f"{command}: {warned} is more than one line each")
    if status == 2 and not (lines and lines[-1].startswith("scaling-callback: ")):
        raise Broken(f"{command}: {lines} does not say why")


def refused(action: Callable[[], Any], told: Told | None = None) -> Any:
    """What an action gives; a refusal must be one line that a person reads."""
    try:
        return action()
    except InputError as error:
        message = str(error)
        if "\n" in message or not 10 < len(message) < 1500:
            raise Broken(f"refused in no readable line: {message[:3000]!r}") from None
        if told is not None:
            told.refusals.append(message)
        return None


@contextlib.contextmanager
def hearing() -> Generator[Told]:
    """Warnings that are given: of the ladder, on a line each."""
    told = Told([], [])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield told
    for warning in caught:
        message = str(warning.message)
        if not issubclass(warning.category, LadderWarning) or "\n" in message or len(message) > 1500:
            raise Broken(f"{warning.category.__name__} is no line about the ladder: {message[:3000]!r}")
        told.warnings.append(message)


@contextlib.contextmanager
def limited(seconds: float = SLOWEST) -> Generator[None]:
    """Seconds and memory of what is done inside."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    held = _read_memory("VmRSS")
    began = time.process_time()
    yield
    took, grown = time.process_time() - began, _read_memory("VmHWM") - held
    if took > seconds:
        raise Broken(f"took {took:.1f} s")
    if grown > LARGEST:
        raise Broken(f"took {grown / 2**20:.0f} MiB")


def _read_memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def list_outside(work: Path) -> dict[str, tuple[int, int, int]]:
    """All there is beside the ladder, with its size and time of change; what the ladder is a link to belongs to it."""
    found: dict[str, tuple[int, int, int]] = {}
    for folder, below, files in os.walk(work.parent):
        below[:] = [name for name in below if not (Path(folder) == work and name in {"ladder", "real-ladder"})]
        for name in (*below, *files):
            if (path := Path(folder) / name) not in {work / "ladder", work.parent / "case"}:
                status = path.lstat()
                found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def find_broken(ladder: Path) -> dict[str, list[str]]:
    """Files of the runs that were sound, by run, that no reader can read: no file, no text, no JSON, too large."""
    broken: dict[str, list[str]] = {}
    for name in RUNS:
        run = ladder / name
        if run.is_symlink() or not run.is_dir():
            continue
        for path in sorted(run.iterdir()):
            if path.name in NAMED and not _is_json(path):
                broken.setdefault(name, []).append(path.name)
    return broken


def _is_json(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > 2**30:
            return False
        json.loads(path.read_bytes().decode("utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


NAMED: set[str] = set()
"""Names of the files in the template's runs."""


def _is_as_before(ladder: Path, name: str) -> bool:
    template, now = TEMPLATE[0] / "ladder" / name, ladder / name
    if now.is_symlink() or not now.is_dir():
        return False
    wanted = {path.name: path.read_bytes() for path in template.iterdir()}
    return {path.name for path in now.iterdir()} == wanted.keys() and all(
        not (now / each).is_symlink() and (now / each).is_file() and (now / each).stat().st_size == len(data)
        and (now / each).read_bytes() == data
        for each, data in wanted.items()
    )  # fmt: skip


TEMPLATE: list[Path] = []


def give_up(*_: object) -> None:
    raise Hangs


def work_through(folder: Path, seed: int, first: int, last: int) -> int:
    """Every case; prints those that are broken."""
    template = folder / "template"
    sound = make_template(template)
    TEMPLATE.append(template)
    NAMED.update(path.name for path in (template / "ladder").glob("*/*.json"))
    os.fsync = lambda _: None  # nothing here is about a power cut
    signal.signal(signal.SIGALRM, give_up)
    held = _read_memory("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (held + 8 * 2**30, held + 8 * 2**30))  # for the machine's sake
    ask(template / "ladder", forecast=True)  # imports what is imported late
    ask(template / "table.parquet", forecast=False)
    failed = 0
    for number in range(first, last):
        (folder / "case").write_text(str(number), encoding="ascii")
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        try:
            check_case(template, folder / "work", sound, random.Random(f"{seed} {number}"))
        except (Exception, Hangs) as error:  # noqa: BLE001  (whatever it is, it is the finding)
            failed += 1
            frames = traceback.extract_tb(error.__traceback__)[-4:]
            place = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
            print(f"case {number}: {type(error).__name__} {ascii(str(error))[:600]} ({place})", flush=True)  # noqa: T201
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    print(f"{failed} of {last - first} cases are broken")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    warnings.simplefilter("error")
    sys.exit(work_through(Path(sys.argv[1]), *map(int, sys.argv[2:])))
