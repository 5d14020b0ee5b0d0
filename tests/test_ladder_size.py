"""Claims about large files of a ladder: what writers leave is read, and a flood is refused before it fills memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import CARD, only, points

from scaling_callback.errors import LadderWarning
from scaling_callback.ladder import Ladder
from scaling_callback.ladder.format import encode
from scaling_callback.ladder.segments import write_part

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to tell a peak of memory")

MOST_MEMORY = 200
"""Megabytes that one file may cost its reader, whatever stands in it."""

READ = """
import re, sys, warnings
from pathlib import Path
from scaling_callback.ladder import Ladder

def peak():  # ru_maxrss would begin with that of the process that started this one
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

warnings.simplefilter("ignore")
before = peak()
runs = Ladder(sys.argv[1]).runs()
print(len(runs[0].curve), peak() - before)
"""


def read_apart(ladder: Path) -> tuple[int, float]:
    """The observations of the one run, and the megabytes that reading them took in a process of its own."""
    command = [sys.executable, "-c", READ, str(ladder)]
    rows, grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(rows), float(grown)


def repeat(piece: str) -> Callable[[int], str]:
    return lambda size: '{"schema": 1, "parts": [' + piece * (size // len(piece)) + "0]}"


FLOODS: dict[str, Callable[[int], str]] = {
    "lists": repeat("[],"),
    "objects": repeat("{},"),
    "texts": repeat('"ab",'),
    "numbers": repeat("1.5,"),
    "keys": lambda size: '{"schema": 1' + "".join(f',"{key:x}":1' for key in range(size // 10)) + "}",
    "one long text": lambda size: '{"schema": 1, "parts": "\U0001f600' + "a" * size + '"}',
}


@pytest.mark.parametrize("megabytes", [12, 60])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_costs_its_reader_no_more_than_any_file_may(
    tmp_path: Path, flood: Callable[[int], str], megabytes: int
) -> None:
    Ladder(tmp_path).start(CARD).observe(points(1))
    (tmp_path / "a" / "observations-000002.json").write_text(flood(megabytes * 2**20), encoding="utf-8")

    rows, grown = read_apart(tmp_path)
    assert rows == 1
    assert grown < MOST_MEMORY


def test_what_the_first_version_merged_of_a_long_run_is_read(tmp_path: Path) -> None:
    Ladder(tmp_path).start(CARD)
    count = 32**3  # one part an observation, as that version left them
    said = {"resumed_after": None, "horizon": None, "completed": False}
    parts = [write_part(points(step, loss=3.1234567890123), **said) for step in range(1, count + 1)]
    (tmp_path / "a" / f"observations-000001-{count:06d}.json").write_bytes(encode({"parts": parts}))

    rows, grown = read_apart(tmp_path)
    assert rows == count
    assert grown < MOST_MEMORY


def test_many_observations_that_are_written_at_once_lie_in_segments_that_can_be_read(tmp_path: Path) -> None:
    count = 300_000
    writer = Ladder(tmp_path).start(CARD)
    writer.observe(points(1, 2, 3))
    writer.observe(points(*range(2, count + 1), loss=2.0), resumed_after=1)
    writer.finish()

    run = only(tmp_path)
    assert (len(run.curve), run.notes) == (count, ("2 observation(s) superseded by a resume",))
    rows, grown = read_apart(tmp_path)
    assert rows == count
    assert grown < MOST_MEMORY


def test_what_is_refused_for_its_size_is_named(tmp_path: Path) -> None:
    Ladder(tmp_path).start(CARD).observe(points(1))
    (tmp_path / "a" / "observations-000002.json").write_bytes(json.dumps([[]] * 10**7).encode())

    with pytest.warns(LadderWarning, match=r"a/observations-000002\.json is damaged .* MB, more than any file"):
        only(tmp_path)
