"""Claims about what a person at a terminal sees: the verdict first, nothing beyond the margin, colours where wanted."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_callback.cli import main
from scaling_callback.commands import COMMANDS, make_parser
from scaling_callback.records import Run
from scaling_callback.reporting.words.advice import ADVICE, advise
from scaling_callback.reporting.words.layout import Answer, Notes, Paper, Table, Verdict, lay_out, write_plain
from scaling_callback.reporting.words.lines import measure, shorten, wrap
from scaling_callback.tables import write_table
from scaling_callback.terminal import Progress, show, takes_colours, tell
from scaling_callback.testing import planted_ladder

NAMES = [
    "[red]x[/red]",
    "[link=http://x.example]a[/link]",
    "\x1b[31m\x1b[2J",
    "\x1b]8;;http://x.example\x07click",
    "\u4e2d\u6587\u6a21\u578b" * 10,
    "e\u0301" * 9,
    "A" * 300,
    "\u202e" * 300,
    "a\nb\tc",
    "<script>alert(1)</script>",
    '"q"',
    "",
]
TARGET = "--target params=1e9,tokens=20B"
ASKED = {
    "validate": "validate ladder.csv",
    "fit": "fit ladder.csv --bootstrap 4 --level 0.5 --sensitivity",
    "forecast": f"forecast ladder.csv {TARGET}",
    "allocate": "allocate ladder.csv --flops 2e20",
    "refused allocate": "allocate ladder.csv --flops 2e26",
    "compare": f"compare ladder.csv ladder.csv {TARGET}",
    "plan": f"plan ladder.csv {TARGET} --flops 1e19",
    "first plan": f"plan new {TARGET} --flops 1e19",
    "replay": "replay ladder.csv --largest 1 --workers 1",
    "audit-stops": "audit-stops ladder.csv --rule budget --set tokens=1e9",
    "report": f"report ladder.csv {TARGET} --output report.md",
}
FIRST = {
    "validate": r"12 runs, 24 observations, no problems",
    "fit": r"L\(N, D\) = [\d.]+ \+ [\d.]+ / N\^0\.\d+ \+ [\d.]+ / D\^0\.\d+",
    "forecast": r"loss \d\.\d{4} \(90% interval \d\.\d{4} to \d\.\d{4}\) for 1\.0B parameters on 20\.0B tokens",
    "allocate": r"[\d.]+B parameters \(90% interval .*\) on [\d.]+B tokens \(90% interval .*\) for 2\.0e20 FLOPs",
    "refused allocate": r"these runs do not determine the optimal split of 2\.0e26 FLOPs \(6 N D\)",
    "compare": r"no difference can be told at 1\.0B parameters on 20\.0B tokens: the loss of A over that of B is",
    "plan": r"train these \d runs, [\d.]+M parameters on [\d.]+[MB] tokens first \(.*e18 of 1\.0e19 FLOPs\): the 90% ",
    "first plan": r"train these \d+ runs, .* first \(.*FLOPs\): the 90% interval of the loss of .* should be .* wide",
    "replay": r"the default forecast missed by .*% after .*% and .*% after 100% of the compute; its 90% intervals held",
    "audit-stops": r"budget stops \d of 12 runs and saves .*% of the compute",
    "report": r"wrote report\.md; of the 26 questions",
}
"""What the first line of each answer says: the verdict, with its units."""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """What each command says of a ladder whose runs have hostile names."""
    folder = tmp_path_factory.mktemp("answers")
    runs = [
        Run(replace(run.card, name=f"{name}{i}", seed=None), run.curve)
        for i, (run, name) in enumerate(zip(planted_ladder(points=2), NAMES, strict=True))
    ]
    write_table(runs, folder / "ladder.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made: dict[str, Answer] = {}
        for asked, line in ASKED.items():
            options = make_parser().parse_args(line.split())
            made[asked] = COMMANDS[options.command].run(options)[1]
    return made


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have asked for colours, or for none."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def shown(answer: Answer, patch: pytest.MonkeyPatch, columns: int | None = 80) -> str:
    """What is printed of an answer on a terminal of so many columns, or in a pipe."""
    stream = io.StringIO() if columns is None else Terminal()
    patch.setenv("COLUMNS", str(columns))
    patch.setattr(sys, "stdout", stream)
    show(answer)
    return stream.getvalue()


def bare(text: str) -> str:
    """Text without the codes of colours, of which there are no others."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "\x1b" not in plain
    return plain


@pytest.mark.parametrize("asked", ASKED)
def test_the_first_line_is_the_verdict_with_its_units(answers: dict[str, Answer], asked: str) -> None:
    assert re.match(FIRST[asked], write_plain(lay_out(answers[asked], Paper())).splitlines()[0])


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("asked", ASKED)
def test_no_line_is_wider_than_the_terminal(
    answers: dict[str, Answer], asked: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = bare(shown(answers[asked], monkeypatch, columns))

    assert max(map(measure, printed.splitlines())) <= columns
    assert all(character.isprintable() for character in printed.replace("\n", ""))


@pytest.mark.parametrize("asked", ASKED)
def test_a_narrow_terminal_loses_no_word(answers: dict[str, Answer], asked: str) -> None:
    def words(width: int | None) -> set[str]:
        text = write_plain(lay_out(answers[asked], Paper(width)))
        return {word.rstrip(":") for word in text.split() if word.isascii() and len(word) < 12}

    assert words(None) <= words(40) | words(80)


@pytest.mark.parametrize("asked", ASKED)
def test_the_words_are_the_same_with_and_without_rich_and_in_a_pipe(
    answers: dict[str, Answer], asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    coloured = shown(answers[asked], monkeypatch, 300)
    piped = shown(answers[asked], monkeypatch, None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setitem(sys.modules, "rich.text", None)
    without = shown(answers[asked], monkeypatch, 300)

    assert "\x1b[1m" in coloured
    assert "\x1b" not in without
    assert "\x1b" not in piped
    assert bare(coloured) == without
    if max(map(measure, piped.splitlines())) <= 300:
        assert without == piped


def test_names_are_neither_markup_nor_escapes(answers: dict[str, Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    printed = bare(shown(answers["validate"], monkeypatch))

    for name in ("[red]x[/red]0", "[link=http://x.example]a[/link]1", "\\x1b[31m\\x1b[2J2", "a\\nb\\tc8"):
        assert name in printed
    rows = [line for line in printed.splitlines() if line.endswith("100%")]
    assert len(rows) == 12
    assert {measure(row) for row in rows} == {measure(rows[0])}  # aligned, also behind wide characters


COLOURS: list[tuple[bool, dict[str, str], bool]] = [
    (True, {}, True),
    (True, {"TERM": "xterm"}, True),
    (True, {"NO_COLOR": ""}, True),
    (True, {"NO_COLOR": "1"}, False),
    (True, {"TERM": "dumb"}, False),
    (False, {}, False),
    (False, {"FORCE_COLOR": ""}, False),
    (False, {"FORCE_COLOR": "1"}, True),
    (True, {"FORCE_COLOR": "1", "TERM": "dumb"}, True),
    (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
]


@pytest.mark.parametrize(("terminal", "environment", "expected"), COLOURS)
def test_colours_are_for_terminals_unless_the_user_says_otherwise(
    *, terminal: bool, environment: dict[str, str], expected: bool
) -> None:
    assert takes_colours(Terminal() if terminal else io.StringIO(), environment) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is a thing of Unix")
@pytest.mark.parametrize(("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_on_a_real_terminal_the_program_answers_in_colours_unless_told_not_to(
    tmp_path: Path, extra: dict[str, str], *, coloured: bool
) -> None:
    write_table(planted_ladder(points=1), tmp_path / "ladder.csv")
    program = [sys.executable, "-m", "scaling_callback", "validate", "ladder.csv"]
    spawn = f"import pty, sys; sys.exit(pty.spawn({program!r}) >> 8)"
    done = subprocess.run(
        [sys.executable, "-c", spawn],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", **extra},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0
    assert (b"\x1b[1m12 runs, 12 observations, no problems\x1b[0m" in done.stdout) == coloured
    assert (b"\x1b" in done.stdout) == coloured


@pytest.mark.parametrize("asked", ASKED)
def test_json_is_one_object_on_any_terminal(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(planted_ladder(points=2), tmp_path / "ladder.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)

    assert main([*ASKED[asked].split(), "--json"]) == 0
    assert out.getvalue().count("\n") == 1
    assert isinstance(json.loads(out.getvalue(), parse_constant=pytest.fail), dict)


def test_a_refusal_on_a_terminal_is_one_line_and_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)

    assert main(["fit", "absent.csv"]) == 2
    assert re.fullmatch(r"\x1b\[1;33mscaling-callback: absent\.csv .*\x1b\[0m\n", err.getvalue())


def test_a_warning_that_looks_like_markup_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    tell("warning: [bold]no[/bold] :smile:", grave=True)

    assert bare(err.getvalue()) == "warning: [bold]no[/bold] :smile:\n"


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_an_encoding_without_our_signs_gets_others_as_wide(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    long = "x" * 60
    show([Table([("\N{MINUS SIGN}1.5", "1"), ("\N{EN DASH}", "2"), (shorten(long, 12), "3")], words=(0, 1))])
    lines = out.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]

    assert lines[0] == "  -1.5          1"
    assert len({len(line) for line in lines}) == 1
    assert not any("\\u" in line for line in lines)


def test_what_is_shown_of_a_long_name_keeps_both_ends(answers: dict[str, Answer]) -> None:
    printed = write_plain(lay_out(answers["validate"], Paper()))

    assert re.search(r"  A+\N{HORIZONTAL ELLIPSIS}A+6 ", printed)
    assert max(map(measure, printed.splitlines())) <= 80


def test_of_more_runs_than_a_screen_holds_the_rest_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"r{i},1e7,{i + 1}e7,3\n" for i in range(50)]
    (tmp_path / "many.csv").write_text("run,params,tokens,loss\n" + "".join(rows), "utf-8")
    assert main(["validate", str(tmp_path / "many.csv")]) == 0

    words = capsys.readouterr().out
    assert "and 10 more runs: --json lists all" in words
    assert len(words.splitlines()) < 55


texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=60)


@given(text=texts, width=st.integers(2, 30))
def test_wrapped_text_keeps_to_its_width_and_loses_nothing(text: str, width: int) -> None:
    lines = wrap(text, width)

    assert max(map(measure, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert measure(shorten(text, width)) <= width


cells = st.lists(st.lists(texts, min_size=3, max_size=3), min_size=1, max_size=4)


@given(rows=cells, width=st.integers(10, 60))
def test_a_table_of_anything_keeps_to_its_width(rows: list[list[str]], width: int) -> None:
    answer = [Verdict("v"), Table(rows, ("run", "params", "loss")), Notes("doubts:", [row[0] for row in rows])]

    assert all(measure(line) <= width for line in write_plain(lay_out(answer, Paper(width))).splitlines())


def test_a_table_without_room_leaves_out_what_it_can_spare_says_so_and_stacks_only_where_that_is_not_enough() -> None:
    spare = {"parameters": (1, 2), "notes": (3,)}
    row = ("a choice", "1.23456789", "9.87654321", "a note of words", "2.5")
    table = Table([row, row], ("choice", "E", "alpha", "note", "loss"), words=(0, 3), strong=(0,), spare=spare)

    def lay(width: int | None) -> list[str]:
        return write_plain(table.lay(Paper(width))).splitlines()

    assert lay(None) == lay(80)
    assert "9.87654321" in lay(80)[1]
    assert [line.split() for line in lay(42)[:1]] == [["choice", "note", "loss"]]
    assert lay(42)[-1] == "left out for want of room: parameters"
    assert [line.split() for line in lay(20)[1:3]] == [["a", "choice", "2.5"]] * 2
    assert " ".join(lay(20)[3:]) == "left out for want of room: parameters, notes"
    assert "alpha:" in "".join(lay(14))


def test_each_doubt_with_advice_says_what_to_do() -> None:
    for name, do in ADVICE.items():
        assert advise(f"{name}: what is wrong") == f"{name}: what is wrong; {do}"
        assert advise(f"isoflop: {name}: what is wrong").endswith(do)
    assert advise("one_size: train other sizes") == "one_size: train other sizes"


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        patch.setattr("scaling_callback.terminal.time.monotonic", lambda: self.now)


def follow(patch: pytest.MonkeyPatch, steps: list[tuple[float, int, int]], stream: Any) -> str:
    """What stands on standard error after steps of (seconds, done, total)."""
    clock = Clock(patch)
    patch.setattr(sys, "stderr", stream)
    with Progress("bootstrap") as progress:
        for clock.now, done, total in steps:
            progress(done, total)
    return stream.getvalue()


LONG = [(1.0, 10, 100), (3.0, 30, 100), (3.01, 31, 100), (5.0, 50, 100), (6.0, 1, 9), (7.0, 9, 9)]


def test_progress_says_what_is_left_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = follow(monkeypatch, LONG, Terminal())
    first, *_ = lines = [line.strip() for line in printed.split("\r") if line.strip()]

    assert first == "bootstrap: 30 of 100, about 7 s left"  # nothing in the first two seconds
    assert lines[1:] == [
        "bootstrap: 50 of 100, about 5 s left",
        "bootstrap: 1 of 9, about 8 s left",
        "bootstrap: 9 of 9",
    ]
    screen = ""
    for piece in printed.split("\r"):
        screen = piece + screen[len(piece) :]
    assert screen.strip() == ""
    assert printed.endswith("\r")
    assert "\n" not in printed
    assert "\x1b" not in printed


def test_progress_keeps_to_one_line_of_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")

    assert max(map(len, follow(monkeypatch, LONG, Terminal()).split("\r"))) < 20


@pytest.mark.parametrize("case", ["pipe", "dumb", "quick"])
def test_progress_is_silent_where_nobody_would_see_it_change(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if case == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    steps = [(1.0, 10, 100), (1.9, 100, 100)] if case == "quick" else LONG

    assert follow(monkeypatch, steps, io.StringIO() if case == "pipe" else Terminal()) == ""
