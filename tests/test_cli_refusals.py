"""Claims about what the command line refuses: one line on standard error, nothing on standard output, exit 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaling_callback import Ladder
from scaling_callback.cli import main
from scaling_callback.tables import write_table
from scaling_callback.testing import planted_ladder, planted_loss

HEADER = "run,params,tokens,loss\n"
ROWS = [f"r{n}{d},{n}e7,{d}e9,{planted_loss(n * 1e7, d * 1e9):.4f}\n" for n in (1, 3, 9) for d in (1, 4, 16)]
GOOD = HEADER + "".join(ROWS)
FILES: dict[str, bytes] = {
    "no column": GOOD.replace("loss", "los").encode(),
    "negative": (GOOD + "x,-1,1,1\n").encode(),
    "zero": (GOOD + "x,1,0,1\n").encode(),
    "text": (GOOD + "x,1,1,one\n").encode(),
    "infinite": (GOOD + "x,1,inf,1\n").encode(),
    "ragged": (GOOD + "x,1,1\n").encode(),
    "empty": b"",
    "header only": HEADER.encode(),
    "latin-1": GOOD.replace("r", "\u00e9").encode("latin-1"),
    "utf-16": GOOD.encode("utf-16"),
    "binary": bytes(range(256)),
    "one run": (HEADER + ROWS[0]).encode(),
    "two runs": (HEADER + ROWS[0] + ROWS[1]).encode(),
    "no finished run": "".join(["total_tokens,", HEADER, *(f"1e12,{row}" for row in ROWS)]).encode(),
}
COMMANDS = ["fit own.csv", "forecast own.csv --target params=1e9,tokens=2e10", "allocate own.csv --flops 1e20"]

USAGE: dict[str, str] = {
    "": "bogus ladder.csv --help-me",
    "fit": "missing.csv missing/ missing.jsonl . foo://x --json",
    "fit ladder.csv": "extra --bogus --law --where",
    "fit ladder.csv --law": "bogus",
    "fit ladder.csv --params": "bogus run",
    "fit ladder --params": "bogus",
    "fit ladder.csv --where": "bogus=1 params =1 params=7",
    "fit ladder --where": "bogus=1 params=7",
    "fit ladder.csv --runs": "worst",
    "fit ladder.csv --evidence": "all",
    "fit ladder.csv --cluster": "bogus",
    "fit ladder.csv --bootstrap": "-1 1.5 many nan inf",
    "fit ladder.csv --seed": "-1 x",
    "fit ladder.csv --level": "0 1 2 -0.5 nan most",
    "validate": "missing.csv .",
    "validate ladder.csv --level": "2",
    "allocate": "ladder.csv",
    "allocate ladder.csv --flops": "0 -1 nan inf many 1e400",
    "forecast": "ladder.csv",
    "forecast ladder.csv --target": "7B params=7B tokens=1T flops=0 flops= = , params size=7B,tokens=1T "
    "params=7B,tokens=0 params=-7B,tokens=1T params=nan,tokens=1T params=inf,tokens=1T params=x,tokens=1T "
    "params=7B,tokens=1T,flops=1e22 params=7B,params=8B,tokens=1T params=7B,tokens=1T,",
    "report ladder.csv --target": "flops=1e20",
    "report ladder.csv --target flops=1e20 --output": ". absent/report.html",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `ladder.csv` and `ladder/` with the same runs."""
    path = tmp_path_factory.mktemp("sources")
    runs = planted_ladder(points=1)
    write_table(runs, path / "ladder.csv")
    for run in runs:
        Ladder(path / "ladder").start(run.card).observe(list(run.curve))
    return path


@pytest.fixture
def refuse(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], str]:
    """Runs a command that must be refused: its line on standard error."""
    monkeypatch.chdir(folder)

    def run(arguments: list[str]) -> str:
        try:
            status: Any = main(arguments)
        except SystemExit as stopped:
            status = stopped.code
        printed = capsys.readouterr()
        assert (status, printed.out) == (2, ""), arguments
        assert printed.err.startswith("scaling-callback")
        assert printed.err.endswith("\n")
        assert printed.err.count("\n") == 1, arguments
        assert "Traceback" not in printed.err
        return printed.err

    return run


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_bad_table_is_refused_by_name(refuse: Callable[[list[str]], str], content: bytes) -> None:
    Path("own.csv").write_bytes(content)

    for command in COMMANDS:
        assert "own.csv" in refuse(command.split())


@pytest.mark.parametrize("command", USAGE)
def test_bad_usage_is_refused(refuse: Callable[[list[str]], str], command: str) -> None:
    for argument in USAGE[command].split():
        refuse([*command.split(), argument])


MESSAGES = {
    "fit own.csv": "own.csv: 2 finished run(s); a fit needs at least 3: train more runs, or let them finish",
    "fit absent": "absent does not exist; give a table (.csv, .jsonl, .parquet) or a ladder folder",
    "fit .": ". holds no run that can be read; give the folder that the callback was given",
    "fit ladder.csv --level 2": "'2' is not a level between 0 and 1, such as 0.9; see scaling-callback fit --help",
    "allocate ladder.csv --flops 0": "'0' is not a positive, finite number of FLOPs",
    "forecast ladder.csv --target 7B": "'7B' is not of the form params=7e9,tokens=4e12 or flops=5.9e23",
    "fit ladder.csv --where seed=1": "ladder.csv has no row with seed = '1'; seed holds ''",
}


@pytest.mark.parametrize("command", MESSAGES)
def test_a_refusal_says_what_it_got_and_what_to_do(refuse: Callable[[list[str]], str], command: str) -> None:
    Path("own.csv").write_bytes(FILES["two runs"])

    assert MESSAGES[command] in refuse(command.split())


def test_an_argument_with_a_line_break_is_still_refused_in_one_line(refuse: Callable[[list[str]], str]) -> None:
    refuse(["fit", "ladder.csv", "one\ntwo"])
    refuse(["fit", "absent\n.csv"])
