"""Claims about the command line: one JSON object or words, exit 0; or one line on standard error and exit 2."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_callback import Ladder
from scaling_callback.cli import main
from scaling_callback.records import Curve, Observation, Run
from scaling_callback.tables import write_table
from scaling_callback.testing import planted_ladder, planted_loss

TARGET = ["--target", "params=1e9,tokens=20B"]
TRUTH = planted_loss(1e9, 2e10)
KEYS = {
    "validate": "runs observations last problems",
    "fit": "law params objective status diagnostics intervals n_observations n_runs seconds",
    "forecast": "target median interval forecaster baselines track_record warnings",
    "allocate": "params tokens tokens_per_param intervals identified reasons",
    "report": "output checklist",
}
MORE: dict[str, list[str]] = {"forecast": TARGET, "allocate": ["--flops", "2e20"], "report": TARGET}

Asked = Callable[..., Any]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ladder.csv`, and `ladder/`, which holds the same runs and an unfinished one."""
    folder = tmp_path_factory.mktemp("sources")
    runs = planted_ladder(points=4)
    write_table(runs, folder / "ladder.csv")
    for run in runs:
        writer = Ladder(folder / "ladder").start(run.card)
        writer.observe(list(run.curve))
        writer.finish()
    Ladder(folder / "ladder").start(replace(runs[-1].card, name="young")).observe(list(runs[-1].curve)[:2])
    return folder


@pytest.fixture
def ask(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Runs a command in a folder of its own that holds the sources: its JSON, or what it printed."""
    for path in sources.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, words: bool = False) -> Any:
        arguments = (*arguments, *(["--output", "report.html"] if arguments[0] == "report" else []))
        assert main([*arguments, *([] if words else ["--json"])]) == 0
        printed = capsys.readouterr()
        if words:
            return printed.out
        assert printed.out.count("\n") == 1
        return json.loads(printed.out, parse_constant=pytest.fail)

    return run


def table(runs: Iterable[Run], name: str = "own.csv") -> str:
    write_table(runs, name)
    return name


@pytest.mark.parametrize("source", ["ladder.csv", "ladder"])
@pytest.mark.parametrize("command", KEYS)
def test_every_command_prints_one_json_object_with_its_keys(ask: Asked, command: str, source: str) -> None:
    answer = ask(command, source, *MORE.get(command, []))

    assert set(KEYS[command].split()) <= set(answer)


@pytest.mark.parametrize("command", KEYS)
def test_every_command_answers_in_words_too(ask: Asked, command: str) -> None:
    words = ask(command, "ladder", *MORE.get(command, []), words=True)

    assert words.strip()
    assert not any(token in words for token in ("None", "nan", "{"))


@pytest.mark.parametrize("command", ["", *KEYS])
def test_help_shows_what_to_type(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*([command] if command else []), "--help"])

    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert f"example:\n  scaling-callback {command} ladder" in shown if command else all(name in shown for name in KEYS)


def test_the_answers_are_those_of_the_planted_law(ask: Asked) -> None:
    fitted = ask("fit", "ladder.csv", "--bootstrap", "20", "--level", "0.8")
    made = ask("forecast", "ladder.csv", *TARGET)
    split = ask("allocate", "ladder.csv", "--flops", "2e20")
    same = ask("forecast", "ladder.csv", "--target", "flops=1.2e20")

    assert fitted["status"] == "converged"
    assert fitted["n_runs"] == fitted["n_observations"] == 12
    assert fitted["params"].keys() == fitted["intervals"].keys() == {"E", "A", "B", "alpha", "beta"}
    assert made["target"] == {"params": 1e9, "tokens": 2e10}
    assert made["interval"]["lower"] < made["median"] < made["interval"]["upper"]
    assert made["median"] == pytest.approx(TRUTH, rel=0.02)
    assert made["interval"]["level"] == 0.9
    assert made["track_record"]["forecasts"] > 0
    assert split["identified"]
    assert 6 * split["params"] * split["tokens"] == pytest.approx(2e20)
    assert set(split["intervals"]) == {"params", "tokens", "tokens_per_param", "loss"}
    assert 6 * same["target"]["params"] * same["target"]["tokens"] == pytest.approx(1.2e20)


def test_fit_does_what_was_published_unless_it_is_asked_for_more(ask: Asked) -> None:
    plain, every = ask("fit", "ladder.csv"), ask("fit", "ladder.csv", "--evidence", "intermediate")

    assert plain["intervals"] == {}
    assert every["n_observations"] == 48
    assert every["n_runs"] == 12
    assert ask("fit", "ladder.csv", "--prior", "--cluster", "params")["n_runs"] == 4


def test_a_seed_repeats_an_answer_to_the_last_digit(ask: Asked) -> None:
    one, other = (ask("forecast", "ladder.csv", "--seed", "3", *TARGET) for _ in range(2))

    assert one == other


def test_validate_lists_the_last_of_every_run_and_what_is_odd(ask: Asked) -> None:
    path = Path("own.csv")
    path.write_text("run,params,tokens,loss,total_tokens\na,1,1,4,4\na,1,2,nan,4\nb,-1,1,1,4\nb,1,1,x,4\n", "utf-8")

    answer = ask("validate", "own.csv")

    assert answer["runs"] == 1
    assert answer["observations"] == 2
    assert answer["last"] == [{"run": "a", "params": 1.0, "tokens": 2.0, "loss": None, "progress": 0.5}]
    assert [problem[: len("own.csv row 4")] for problem in answer["problems"][:2]] == ["own.csv row 4", "own.csv row 5"]
    assert answer["problems"][2].startswith("run a: 1 loss(es) that are not a number")


def test_validate_names_the_damaged_files_of_a_ladder(ask: Asked) -> None:
    Ladder("own").start(planted_ladder()[0].card)
    card = next(Path("own").rglob("card.json"))
    card.write_bytes(b"torn")

    answer = ask("validate", "own")

    assert answer["runs"] == 0
    assert "card.json" in answer["problems"][0]


def test_report_writes_a_page_and_splits_the_26_questions(ask: Asked) -> None:
    answer = ask("report", "ladder", *TARGET)

    assert Path(answer["output"]).read_text("utf-8").startswith("<!")
    lists = answer["checklist"]
    assert set(lists) == {"answered", "asked", "unanswered"}
    assert sorted(sum(lists.values(), [])) == list(range(1, 27))


def test_runs_best_keeps_the_best_of_each_size_and_horizon(ask: Asked) -> None:
    runs = planted_ladder(points=2)
    worse = [Run(replace(r.card, name=f"{r.name}-worse"), replace(r.curve, loss=1.1 * r.curve.loss)) for r in runs]
    source = table([*runs, *worse])

    assert ask("fit", source)["n_runs"] == 24
    best = ask("fit", source, "--runs", "best")
    assert best["n_runs"] == 12
    assert best["params"] == pytest.approx(ask("fit", table(runs))["params"])


def test_where_and_params_choose_rows_and_the_count_of_n(ask: Asked) -> None:
    runs = [
        Run(replace(run.card, name=f"{run.name}-{data}", sizes={"params_all": 2 * run.params}, extra={"data": data}), run.curve)
        for run in planted_ladder(points=2)
        for data in ("c4", "pile")
    ]  # fmt: skip
    source = table(runs)

    assert ask("fit", source, "--where", "data=c4")["n_runs"] == 12
    assert ask("fit", source, "--where", "data=c4", "--where", "data=pile", "--where", "params=1e7")["n_runs"] == 6
    assert ask("validate", source, "--params", "params_all")["last"][0]["params"] == 2e7
    assert ask("fit", "ladder", "--where", "params=1e7", "--where", "params=30000000")["n_runs"] == 6


DOUBTFUL = {
    "one size": ([run for run in planted_ladder(points=2, ratios=(5, 20, 80, 320)) if run.params == 1e8], "one_size"),
    "equal losses": ([replace(r, curve=replace(r.curve, loss=r.curve.loss * 0 + 3)) for r in planted_ladder()], "no_variation"),
    "one horizon": ([r for n in (1, 2, 4, 8) for r in planted_ladder(points=2, sizes=[n * 1e7], ratios=[80 / n])], "one_horizon"),
    "few runs": (planted_ladder(points=2)[:4], "too_few_runs"),
}  # fmt: skip


@pytest.mark.parametrize(("runs", "doubt"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_ladder_that_cannot_tell_is_answered_with_the_named_doubt(ask: Asked, runs: list[Run], doubt: str) -> None:
    source = table(runs)

    assert doubt in ask("fit", source)["diagnostics"]
    made = ask("forecast", source, *TARGET)
    assert doubt in " ".join(made["warnings"])
    assert made["interval"]["lower"] <= made["median"] <= made["interval"]["upper"]
    split = ask("allocate", source, "--flops", "1e19")
    assert not split["identified"]
    assert doubt in " ".join(split["reasons"])
    assert (split["params"], split["tokens"], split["tokens_per_param"], split["intervals"]) == (None, None, None, {})


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
USAGE = {
    "fit": [
        "missing.csv", "missing/", "missing.jsonl --json", ".", "foo://x", "ladder.csv extra", "", "--bogus ladder.csv",
        "ladder.csv --law bogus", "ladder.csv --params bogus", "ladder --params bogus", "ladder.csv --params run",
        "ladder.csv --where bogus=1", "ladder.csv --where params", "ladder.csv --where =1",
        "ladder.csv --where params=7", "ladder --where params=7", "ladder --where bogus=1", "ladder.csv --runs worst",
        "ladder.csv --bootstrap -1", "ladder.csv --bootstrap 1.5", "ladder.csv --bootstrap many",
        "ladder.csv --bootstrap nan", "ladder.csv --bootstrap inf", "ladder.csv --evidence all",
        "ladder.csv --cluster bogus", "ladder.csv --seed -1", "ladder.csv --seed x",
        *(f"ladder.csv --level {level}" for level in ("0", "1", "2", "-0.5", "nan", "most")),
    ],
    "validate": ["missing.csv", ".", "ladder.csv --level 2"],
    "allocate": ["ladder.csv", *(f"ladder.csv --flops {flops}" for flops in ("0", "-1", "nan", "inf", "many", "1e400"))],
    "forecast": [
        "ladder.csv",
        *(
            f"ladder.csv --target {target}"
            for target in (
                "7B", "params=7B", "tokens=1T", "params=7B,tokens=0", "params=-7B,tokens=1T", "params=nan,tokens=1T",
                "params=inf,tokens=1T", "params=7B,tokens=1T,flops=1e22", "params=x,tokens=1T", "size=7B,tokens=1T",
                "params=7B,params=8B,tokens=1T", "params=7B,tokens=1T,", "flops=0", "flops=", "=", ",", "params",
            )
        ),
    ],
    "report": [
        "ladder.csv --target flops=1e20", "missing.csv --target flops=1e20 --output report.html",
        "ladder.csv --target flops=1e20 --output .", "ladder.csv --target flops=1e20 --output absent/report.html",
    ],
    "": [""], "bogus": [""],
}  # fmt: skip


@pytest.fixture
def refuse(ask: Asked, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Runs a command that must be refused: its line on standard error."""

    def run(line: str) -> str:
        capsys.readouterr()
        try:
            status: Any = main(line.split())
        except SystemExit as stopped:
            status = stopped.code
        printed = capsys.readouterr()
        assert (status, printed.out) == (2, ""), line
        assert printed.err.endswith("\n")
        assert printed.err.count("\n") == 1, line
        assert printed.err.startswith("scaling-callback")
        assert "Traceback" not in printed.err
        return printed.err

    return run


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_bad_table_is_refused_in_one_line_that_names_it(refuse: Callable[[str], str], content: bytes) -> None:
    Path("own.csv").write_bytes(content)

    for command in COMMANDS:
        assert "own.csv" in refuse(command)


@pytest.mark.parametrize("command", USAGE)
def test_bad_usage_is_refused_in_one_line(refuse: Callable[[str], str], command: str) -> None:
    for arguments in USAGE[command]:
        refuse(f"{command} {arguments}")


@settings(max_examples=25)
@given(
    rows=st.lists(
        st.tuples(*[st.sampled_from(["1e-300", "1", "1e7", "3e8", "1e20", "1e300"])] * 2, st.sampled_from("123456")),
        min_size=3, max_size=7,
    )
)  # fmt: skip
def test_whatever_is_in_a_table_there_is_an_answer_or_one_line(
    ask: Asked, capsys: pytest.CaptureFixture[str], rows: list[tuple[str, str, str]]
) -> None:
    Path("own.csv").write_text(HEADER + "".join(f"r{i},{n},{d},{x}\n" for i, (n, d, x) in enumerate(rows)), "utf-8")

    status = main(["fit", "own.csv", "--bootstrap", "5", "--json"])
    printed = capsys.readouterr()
    if status == 0:
        json.loads(printed.out, parse_constant=pytest.fail)
    else:
        assert (status, printed.out, printed.err.count("\n")) == (2, "", 1)


def test_numbers_may_be_written_as_people_do(ask: Asked) -> None:
    for target in ("params=7B,tokens=1.4T", "params=7000M,tokens=1400b", "params=7e9, tokens = 1.4e12"):
        assert ask("forecast", "ladder.csv", "--target", target)["target"] == {"params": 7e9, "tokens": 1.4e12}


def test_names_that_the_terminal_cannot_show_are_escaped(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [Run(replace(run.card, name="\u00e9\u4e2d" + run.name), run.curve) for run in planted_ladder(points=1)]
    source = table(runs)
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)

    assert main(["validate", source]) == 0
    assert b"\\xe9\\u4e2d" in out.buffer.getvalue()  # type: ignore[attr-defined]


def test_warnings_go_to_standard_error_and_leave_the_json_alone(capsys: pytest.CaptureFixture[str], ask: Asked) -> None:
    for run in planted_ladder(points=2):
        Ladder("own").start(replace(run.card, recipe={"data": run.name[:5]})).observe(list(run.curve))

    assert main(["fit", "own", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["n_runs"] == 12
    assert printed.err.startswith("warning: own mixes recipes: data is")
    assert printed.err.count("\n") == 1


def test_the_module_is_the_program(sources: Path) -> None:
    program = [sys.executable, "-m", "scaling_callback"]
    good = subprocess.run(
        [*program, "fit", "ladder.csv", "--json"], cwd=sources, capture_output=True, text=True, check=True
    )
    bad = subprocess.run([*program, "fit", "absent.csv"], cwd=sources, capture_output=True, text=True, check=False)

    assert json.loads(good.stdout)["n_runs"] == 12
    assert good.stderr == ""
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)
