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
    "fit": "missing.csv missing/ missing.jsonl . foo://x --json reference://x data:;base64,zzz zip://x::missing.zip",
    "fit ladder.csv": "extra --bogus --law --where",
    "fit ladder.csv --law": "bogus",
    "plan missing.csv --target params=1e9,tokens=2e10 --flops": "1e19",
    "plan ladder --target params=1e9,tokens=2e10 --flops": "0 -1 nan inf 1e3 many",
    "plan ladder --flops 1e19 --target": "params=1e6,tokens=1e7 params=1e9 flops=0",
    "fit ladder.csv --params": "bogus run",
    "fit ladder --params": "bogus",
    "fit ladder.csv --where": "bogus=1 params =1 params=7",
    "fit ladder --where": "bogus=1 params=7",
    "fit ladder.csv --runs": "worst",
    "fit ladder.csv --evidence": "all",
    "fit ladder.csv --objective": "bogus",
    "fit ladder.csv --ridges --law": "kaplan",
    "fit ladder.csv --further": "unique_tokens unique_tokens=0 unique_tokens=many =1",
    "fit ladder.csv --borrow": "nobody besiroglu:N_c kaplan",
    "fit ladder.csv --cluster": "bogus",
    "fit ladder.csv --bootstrap": "-1 1.5 many nan inf 1 19 1e7 1e300",
    "fit ladder.csv --bootstrap 20 --level": "0.95 0.99",
    "fit ladder.csv --seed": "-1 x 1.5 nan 1e999999999",
    "fit ladder.csv --level": "0 1 2 -0.5 nan most 0.9999999",
    "validate": "missing.csv .",
    "validate ladder.csv --level": "2",
    "allocate": "ladder.csv",
    "allocate ladder.csv --flops": "0 -1 nan inf many 1e400 1e-3",
    "allocate ladder.csv --flops 1e20 --inference-tokens": "0 -1 nan many 1e30",
    "allocate ladder.csv --flops 1e20 --unique-tokens": "0 -1 nan many",
    "allocate ladder.csv --flops 1e20 --law skaling --unique-tokens": "1e9",
    "allocate ladder.csv --flops 1e20 --fix": "7B params params=0 tokens=nan layers=3 tokens=1e30 params=1e30",
    "allocate ladder.csv --flops 1e20 --fix params=1e8 --fix": "tokens=1e9 params=1e8",
    "allocate ladder.csv --flops 1e20 --shape": "layers=3 layers=3,width=0,context=5 1,2,3 layers=3,layers=3,width=1",
    "allocate ladder.csv --flops 1e20 --counting": "some",
    "allocate ladder.csv --flops 1e20 --counting 6nd --shape": "layers=2,width=64,context=128",
    "compare": "ladder.csv",
    "compare ladder.csv ladder --target": "7B flops=1e20",
    "compare ladder.csv ladder --target params=1e9,tokens=2e10 --where-a": "bogus=1 params",
    "forecast": "ladder.csv",
    "forecast ladder.csv --target": "7B params=7B tokens=1T flops=0 flops= = , params size=7B,tokens=1T "
    "params=7B,tokens=0 params=-7B,tokens=1T params=nan,tokens=1T params=inf,tokens=1T params=x,tokens=1T "
    "params=7B,tokens=1T,flops=1e22 params=7B,params=8B,tokens=1T params=7B,tokens=1T, params=1e300,tokens=1e300 "
    "params=1e-300,tokens=1e-300 params=7B;tokens=1T params=7B,tokens=1T:",
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
    "allocate ladder.csv --flops 1e20 --fix params=1e8 --fix tokens=1e9": "params and tokens are both fixed",
    "allocate ladder.csv --flops 1e20 --fix tokens=1e30": "1e+20 FLOPs leave no training for a model of",
    "forecast ladder.csv --target 7B": "'7B' is not of the form params=7e9,tokens=4e12 or flops=5.9e23",
    "fit ladder.csv --bootstrap 19": "--bootstrap is 19; an interval at level 0.9 needs at least 20 replicates",
    "compare ladder.csv own.csv --target params=1e9,tokens=2e10": "own.csv: 2 finished run(s); a fit needs at least 3",
    "compare own.csv ladder.csv --target params=1e9,tokens=2e10": "own.csv: 2 finished run(s); a fit needs at least 3",
    "compare ladder.csv ladder --target flops=1e20": "the target is a budget of 1e+20 FLOPs, of which each recipe has",
    "fit ladder.csv --flops 1e22": "--flops 1e+22 says for what budget --sensitivity splits, and that is not asked for",
    "fit ladder.csv --counting 6nd": "--counting 6nd says for what budget --sensitivity splits, and that is not asked",
    "fit reference://x": "reference://x cannot be read as a ladder (",
    "fit ladder.csv --where seed=1": "ladder.csv has no row with seed = '1'; seed holds ''",
}


@pytest.mark.parametrize("command", MESSAGES)
def test_a_refusal_says_what_it_got_and_what_to_do(refuse: Callable[[list[str]], str], command: str) -> None:
    Path("own.csv").write_bytes(FILES["two runs"])

    assert MESSAGES[command] in refuse(command.split())


def test_an_argument_with_a_line_break_is_still_refused_in_one_line(refuse: Callable[[list[str]], str]) -> None:
    refuse(["fit", "ladder.csv", "one\ntwo"])
    refuse(["fit", "absent\n.csv"])
    assert "it is empty" in refuse(["fit", ""])


INTO_SOURCE = {
    "the table": ("ladder.csv", "ladder.csv"),
    "the table through a link": ("ladder.csv", "link.csv"),
    "the table through a hard link": ("ladder.csv", "hard.csv"),
    "the table by another spelling": ("ladder.csv", "ladder/../ladder.csv"),
    "a linked table": ("link.csv", "ladder.csv"),
    "a file in the ladder": ("ladder", "ladder/report.html"),
    "a file of a run": ("ladder", "{run}/card.json"),
    "a file in the ladder through a link": ("ladder", "linked/report.html"),
    "a link into the ladder": ("ladder", "dangling.html"),
    "a ladder by URL": ("file://{here}/ladder", "ladder/report.html"),
}


@pytest.mark.parametrize(("source", "output"), INTO_SOURCE.values(), ids=INTO_SOURCE)
def test_a_report_never_overwrites_what_it_reads(
    refuse: Callable[[list[str]], str], folder: Path, source: str, output: str
) -> None:
    links = {"link.csv": "ladder.csv", "linked": "ladder", "dangling.html": "ladder/new.html"}
    for name, target in links.items():
        if not Path(name).is_symlink():
            Path(name).symlink_to(target)
    if not Path("hard.csv").exists():
        Path("hard.csv").hardlink_to("ladder.csv")
    run = next((folder / "ladder").rglob("card.json")).parent
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    line = refuse(["report", source.format(here=folder), "--target", "flops=1e20", "--output", output.format(run=run)])

    assert "is SOURCE or lies inside it" in line
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("output", [".", "absent/report.html", "ladder.csv/report.html"])
def test_a_report_that_cannot_be_written_is_refused_before_any_work(
    refuse: Callable[[list[str]], str], monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.setattr("scaling_callback.commands.report.read_runs", lambda *_: pytest.fail("it began to work"))

    refuse(["report", "ladder.csv", "--target", "flops=1e20", "--output", output])


def test_a_ladder_that_may_not_be_opened_is_refused_by_name(
    refuse: Callable[[list[str]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", deny)

    assert "ladder cannot be read as a ladder ([Errno 13] Permission denied)" in refuse(["fit", "ladder"])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # such numbers overflow
@pytest.mark.parametrize("command", [COMMANDS[1], COMMANDS[1].replace("forecast", "report")])
def test_numbers_that_no_training_has_end_in_no_silent_answer(refuse: Callable[[list[str]], str], command: str) -> None:
    Path("own.csv").write_text(HEADER + "".join(f"r{n},{n}e307,{n}e307,{n}e300\n" for n in range(1, 8)), "utf-8")
    output = ["--output", "own.html"] if command.startswith("report") else []

    assert "are params and tokens plain counts?" in refuse([*command.split(), *output])
