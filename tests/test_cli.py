"""Claims about what the command line answers: words, or one JSON object, and exit 0."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_callback import Ladder
from scaling_callback.cli import main
from scaling_callback.records import Run
from scaling_callback.reporting.units import format_count, format_loss
from scaling_callback.reporting.words.layout import Table
from scaling_callback.reporting.words.text import show_sensitivity
from scaling_callback.tables import write_table
from scaling_callback.testing import TRUTH as LAW
from scaling_callback.testing import planted_ladder, planted_loss

TARGET = ["--target", "params=1e9,tokens=20B"]
TRUTH = planted_loss(1e9, 2e10)
KEYS = {
    "validate": "runs observations last problems",
    "fit": "law params objective status diagnostics intervals n_observations n_runs seconds",
    "forecast": "target median interval forecaster baselines track_record warnings",
    "allocate": "params tokens tokens_per_param intervals identified reasons",
    "compare": "better difference interval probability method pairs a b warnings",
    "plan": "target budget flops level interval_width runs notes",
    "audit-stops": "runs stopped compute_saved regret false_stops",
    "report": "output checklist",
}
MORE: dict[str, list[str]] = {
    "forecast": TARGET,
    "allocate": ["--flops", "2e20"],
    "compare": ["ladder.csv", *TARGET],
    "plan": [*TARGET, "--flops", "1e19"],
    "audit-stops": ["--rule", "budget", "--set", "tokens=5e8"],
    "report": TARGET,
}

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
        # a page draws every figure: that it does is claimed in test_report.py
        arguments = (*arguments, *(["--output", "report.md"] if arguments[0] == "report" else []))
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


def test_flops_that_are_none_are_a_problem_of_the_table(ask: Asked, tmp_path: Path) -> None:
    rows = ["run,params,tokens,loss,flops"]
    rows += [f"r{i},{n:g},{20 * n:g},{3 - i / 10:g},{6 * n * 20 * n * 1e3:g}" for i, n in enumerate((1e7, 3e7, 1e8))]
    table = tmp_path / "odd.csv"
    table.write_text("\n".join(rows))
    assert any("1e+03 times 6 N D" in problem for problem in ask("validate", str(table))["problems"])


def test_the_budget_of_a_panel_is_counted_as_it_was_measured_or_as_6nd(ask: Asked, tmp_path: Path) -> None:
    finals = [(run.name, run.params, run.final) for run in planted_ladder(noise=0.0) if run.final]
    rows = [f"{name},{n},{end.tokens},{end.loss},{2 * 6 * n * end.tokens},True" for name, n, end in finals]
    path = tmp_path / "twice.csv"
    path.write_text("\n".join(["run,params,tokens,loss,flops,is_final", *rows]))
    panel = ("fit", str(path), "--sensitivity", "--flops")

    measured = ask(*panel, "2e20")["sensitivity"]["rows"][0]
    counted = ask(*panel, "1e20", "--counting", "6nd")["sensitivity"]["rows"][0]
    assert measured["tokens_per_param"] == pytest.approx(counted["tokens_per_param"], rel=1e-6)
    other = ask(*panel, "2e20", "--counting", "6nd")["sensitivity"]["rows"][0]
    assert other["tokens_per_param"] != pytest.approx(measured["tokens_per_param"], rel=1e-3)


def test_a_split_says_all_that_there_is_to_choose_from(ask: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["allocate", "ladder.csv", "--flops", "2e20", "--inference-tokens", "10B"]
    split = ask(*command)
    assert split["training_flops"] + split["inference_flops"] == pytest.approx(2e20)
    assert split["cost"]["inference_tokens"] == 1e10
    assert [valley["excess"] for valley in split["valleys"]] == [0.005, 0.01]
    assert [other["flops"] for other in split["budgets"]] == pytest.approx([2e18, 2e19, 2e20, 2e21, 2e22])
    given = ask(*command, "--fix", "tokens=4B")
    assert given["tokens"] == 4e9
    assert given["fixed"] == "tokens"
    assert given["excess_loss"] >= 0
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "10.0B tokens to serve" in shown
    assert "params in 90% of replicates" in shown


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
    clustered = ask("fit", "ladder.csv", "--prior", "--cluster", "params")
    assert clustered["n_runs"] == 12
    assert "4 independent runs" in clustered["diagnostics"]["too_few_runs"]


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


def test_runs_best_keeps_the_best_of_each_size_and_horizon(ask: Asked) -> None:
    runs = planted_ladder(points=2)
    worse = [Run(replace(r.card, name=f"{r.name}-worse"), replace(r.curve, loss=1.1 * r.curve.loss)) for r in runs]
    source = table([*runs, *worse])

    assert ask("fit", source)["n_runs"] == 24
    best = ask("fit", source, "--runs", "best")
    assert best["n_runs"] == 12
    assert best["params"] == pytest.approx(ask("fit", table(runs))["params"])


def test_where_and_params_choose_rows_and_the_count_of_n(ask: Asked) -> None:
    runs: list[Run] = []
    for run in planted_ladder(points=2):
        card = replace(run.card, sizes={"params_all": 2 * run.params})
        runs += [Run(replace(card, name=f"{run.name}-{d}", extra={"data": d}), run.curve) for d in ("c4", "pile")]
    source = table(runs)

    assert ask("fit", source, "--where", "data=c4")["n_runs"] == 12
    assert ask("fit", source, "--where", "data=c4", "--where", "data=pile", "--where", "params=1e7")["n_runs"] == 6
    assert ask("validate", source, "--params", "params_all")["last"][0]["params"] == 2e7
    assert ask("fit", "ladder", "--where", "params=1e7", "--where", "params=30000000")["n_runs"] == 6


def test_compare_names_the_better_of_two_recipes_in_one_table(ask: Asked) -> None:
    rates = {1e-3: planted_ladder(points=2, seed=1), 2e-3: planted_ladder(points=2, seed=2, truth={**LAW, "E": 1.85})}
    runs = [
        Run(replace(run.card, name=f"{run.name}-{rate}", peak_lr=rate), run.curve)
        for rate, ladder in rates.items()
        for run in ladder
    ]
    source = table(runs)
    asked = ("compare", source, source, "--where-a", "peak_lr=0.001", "--where-b", "peak_lr=0.002", *TARGET)
    made, words = ask(*asked), ask(*asked, words=True)
    loss = planted_loss(1e9, 2e10, {**LAW, "E": 1.85})

    assert (made["better"], made["method"], made["pairs"]) == ("A", "paired", 12)
    assert made["interval"]["lower"] < TRUTH / loss - 1 < made["interval"]["upper"] < 0
    assert made["probability"] > 0.99
    assert made["a"]["lower"] < made["a"]["median"] < made["a"]["upper"]
    assert made["warnings"] == []
    place = "at 1.0B parameters on 20.0B tokens"
    assert words.startswith(f"A is better {place} by {-100 * made['difference']:.2f}% of the loss (90% interval ")
    assert ", probability above 0.99, from 12 pairs\n" in words
    assert f"{source} peak_lr=0.002" in words
    swapped = ask(*asked[:3], "--where-b", "peak_lr=0.001", "--where-a", "peak_lr=0.002", *TARGET)
    assert swapped["better"] == "B"
    assert swapped["probability"] == pytest.approx(1 - made["probability"])


def test_compare_of_a_ladder_with_itself_says_so(ask: Asked) -> None:
    asked = ("compare", "ladder.csv", "ladder.csv", *TARGET)
    made, words = ask(*asked), ask(*asked, words=True)

    assert made["better"] is None
    assert made["difference"] == 0
    assert "same_runs: A and B are the very same runs" in " ".join(made["warnings"])
    assert words.startswith("no difference can be told at 1.0B parameters on 20.0B tokens: ")


ONE_SIZE = planted_ladder(points=2, sizes=[1e8], ratios=(5, 20, 80, 320))
ONE_HORIZON = [run for n in (1, 2, 4, 8) for run in planted_ladder(points=2, sizes=[n * 1e7], ratios=[80 / n])]
EQUAL = [replace(run, curve=replace(run.curve, loss=run.curve.loss * 0 + 3)) for run in planted_ladder(points=2)]
DOUBTFUL = {
    "one_size": ONE_SIZE,
    "one_horizon": ONE_HORIZON,
    "no_variation": EQUAL,
    "too_few_runs": planted_ladder(points=2)[:4],
}


@pytest.mark.parametrize("doubt", DOUBTFUL)
def test_a_ladder_that_cannot_tell_is_answered_with_the_named_doubt(ask: Asked, doubt: str) -> None:
    source = table(DOUBTFUL[doubt])

    assert doubt in ask("fit", source)["diagnostics"]
    made = ask("forecast", source, *TARGET)
    assert doubt in " ".join(made["warnings"])
    assert made["interval"]["lower"] <= made["median"] <= made["interval"]["upper"]
    split = ask("allocate", source, "--flops", "1e19")
    assert not split["identified"]
    assert doubt in " ".join(split["reasons"]) or doubt == "too_few_runs", "which widens the interval only"
    assert (split["params"], split["tokens"], split["tokens_per_param"], split["intervals"]) == (None, None, None, {})


HEADER = "run,params,tokens,loss\n"
counts = st.sampled_from(["1e-300", "1", "1e7", "3e8", "1e20", "1e300"])


@settings(max_examples=15)
@given(rows=st.lists(st.tuples(counts, counts, st.sampled_from(["1e-9", "3", "4", "1e9"])), min_size=3, max_size=7))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # such numbers overflow: the command line answers all the same
@pytest.mark.usefixtures("ask")
def test_whatever_numbers_stand_in_a_table_there_is_an_answer(
    capsys: pytest.CaptureFixture[str], rows: list[tuple[str, str, str]]
) -> None:
    Path("own.csv").write_text(HEADER + "".join(f"r{i},{','.join(row)}\n" for i, row in enumerate(rows)), "utf-8")

    assert main(["fit", "own.csv", "--bootstrap", "20", "--json"]) == 0
    json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def test_numbers_may_be_written_as_people_do(ask: Asked) -> None:
    for target in ("params=7B,tokens=1.4T", "params=7000M,tokens=1400b", "params=7e9, tokens = 1.4e12"):
        assert ask("forecast", "ladder.csv", "--target", target)["target"] == {"params": 7e9, "tokens": 1.4e12}


@pytest.mark.usefixtures("ask")
def test_names_that_the_terminal_cannot_show_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [Run(replace(run.card, name="\u00e9\u4e2d" + run.name), run.curve) for run in planted_ladder(points=1)]
    source = table(runs)
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)

    assert main(["validate", source]) == 0
    assert b"\\xe9\\u4e2d" in out.buffer.getvalue()  # type: ignore[attr-defined]


def test_what_a_terminal_would_obey_is_shown_as_an_escape(ask: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b[31m\x07\u202e\u2028a\nb\x7f\x9b"
    runs = planted_ladder(points=2)
    source = table(Run(replace(run.card, name=f"{name}{i}", seed=None), run.curve) for i, run in enumerate(runs))

    shown = ask("validate", source, words=True)
    assert main(["fit", source, "--cluster", name]) == 2
    refused = capsys.readouterr().err
    assert main(["validate", source, "--json"]) == 0
    json_text = capsys.readouterr().out

    assert "\\x1b[31m\\x07\\u202e\\u2028a\\nb" in shown
    for printed in (shown, refused, json_text):
        assert all(character.isprintable() for character in printed.replace("\n", ""))
    assert json.loads(json_text)["last"][0]["run"] == f"{name}0"


def test_what_a_fit_borrows_it_says(ask: Asked) -> None:
    asked = ("fit", "ladder.csv", "--borrow", "besiroglu:A,alpha", "--objective", "log-squared", "--bootstrap", "20")
    found = ask(*asked)

    assert found["borrowed"].keys() == {"A", "alpha"}
    assert found["params"]["alpha"] == found["borrowed"]["alpha"]["value"] == 0.3478
    assert found["minimised"] == "log-squared"
    assert re.search(r"alpha +0\.3478 .* Besiroglu et al\. 2024", ask(*asked, words=True))


def test_one_run_can_be_fitted_with_what_it_borrows(ask: Asked) -> None:
    (run, *_) = planted_ladder(points=12)
    found = ask(
        *("fit", table([run]), "--borrow", "besiroglu:A,alpha", "--evidence", "intermediate", "--bootstrap", "100")
    )

    assert found["n_runs"] == 1
    assert "too_few_runs" in found["diagnostics"]
    lower, upper = found["intervals"]["beta"]  # of one run the noise of a run is all that can be drawn
    assert upper > 1.01 * lower


@pytest.mark.parametrize("command", ["fit", "forecast", "allocate"])
def test_runs_that_are_no_evidence_are_named_with_the_reason(ask: Asked, command: str) -> None:
    asked = (command, "ladder", *MORE.get(command, []))
    assert ask(*asked)["left_out"].keys() == {"young"}
    assert "left out:\n  1 run (young): unfinished: " in ask(*asked, words=True)


def test_a_law_of_a_further_variable_is_given_it_on_the_command_line(ask: Asked) -> None:
    runs = planted_ladder(noise=0.002)
    unique = [replace(run, card=replace(run.card, extra={"unique_tokens": str(run.horizon)})) for run in runs]
    source, law = table(unique), ("--law", "muennighoff")
    made = ask("forecast", source, *law, *TARGET, "--further", "unique_tokens=20B")

    assert made["median"] == pytest.approx(TRUTH, rel=0.05)
    assert ask("allocate", source, *law, "--flops", "2e20", "--unique-tokens", "20B")["reasons"] is not None


def test_a_panel_clusters_as_its_fit_does(ask: Asked) -> None:
    runs = [replace(run, card=replace(run.card, parent="trunk")) for run in planted_ladder(points=2)]
    found = ask("fit", table(runs), "--cluster", "run", "--sensitivity")

    assert found["sensitivity"]["rows"]
    assert not any(row["intervals"] for row in found["sensitivity"]["rows"])


def test_a_panel_with_replicates_says_the_interval_of_each_row(ask: Asked) -> None:
    asked = ("--bootstrap", "4", "--level", "0.5", "--sensitivity")
    found = ask("fit", table(planted_ladder(points=2)), *asked)["sensitivity"]
    assert found["level"] == 0.5
    certified = [row for row in found["rows"] if row["group"] in ("as asked", "loss")]
    assert all(row["intervals"].keys() == {*row["params"], "tokens_per_param", "loss"} for row in certified)
    (shown,) = [block for block in show_sensitivity(found) if isinstance(block, Table)]
    assert [*shown.header][5:9] == ["tokens per param", "50% interval", "loss", "50% interval"]


def test_a_table_that_cannot_tell_finished_runs_from_cut_ones_says_so_once(ask: Asked) -> None:
    curves = [(n, d, share) for n in (1, 3, 9) for d in (1, 4, 16) for share in (0.5, 1.0)]
    rows = [f"r{n}{d},{n}e7,{d * share}e9,{planted_loss(n * 1e7, d * share * 1e9):.4f}\n" for n, d, share in curves]
    Path("own.csv").write_text("run,params,tokens,loss\n" + "".join(rows), "utf-8")

    found = ask("validate", "own.csv")
    (assumed,) = found["assumed"]
    assert found["problems"] == []
    assert assumed.startswith("9 runs (r11, r14, ")
    assert assumed.endswith(": no total_tokens: its last row is taken as its end")
    ask("report", "own.csv", *TARGET)
    assert Path("report.md").read_text("utf-8").count("last row is taken as its end") == 1


def test_a_high_level_gets_the_replicates_that_it_needs(ask: Asked) -> None:
    usual, high = (ask("forecast", "ladder.csv", "--level", level, *TARGET)["interval"] for level in ("0.9", "0.995"))

    assert high["lower"] < usual["lower"] < usual["upper"] < high["upper"]


def test_a_seed_keeps_all_its_digits(ask: Asked) -> None:
    one, other = (ask("fit", "ladder.csv", "--bootstrap", "20", "--seed", f"900719925474099{d}") for d in (2, 3))

    assert one["intervals"] != other["intervals"]


@pytest.mark.usefixtures("ask")
def test_warnings_go_to_standard_error_and_leave_the_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for run in planted_ladder(points=2):
        Ladder("own").start(replace(run.card, recipe={"data": run.name[:5]})).observe(list(run.curve))

    assert main(["fit", "own", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["n_runs"] == 12
    assert printed.err.startswith("warning: own mixes recipes: data is")
    assert printed.err.count("\n") == 1


def test_the_module_is_the_program(sources: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "scaling_callback", *arguments]
        return subprocess.run(program, cwd=sources, capture_output=True, text=True, check=False)

    good, bad = run("fit", "ladder.csv", "--json"), run("fit", "absent.csv")

    assert (good.returncode, good.stderr, json.loads(good.stdout)["n_runs"]) == (0, "", 12)
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("closed", ["fit ladder.csv >&-", "fit ladder.csv >/dev/full", "--help >/dev/full"])
def test_output_that_goes_nowhere_is_refused_in_one_line(sources: Path, closed: str) -> None:
    command = f"exec '{sys.executable}' -m scaling_callback {closed}"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=sources, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("scaling-callback: standard output")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_stops_listening_ends_no_command_in_a_traceback(sources: Path) -> None:
    program = [sys.executable, "-m", "scaling_callback", "validate", "ladder.csv"]
    with subprocess.Popen(program, cwd=sources, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        assert running.stderr.read() == b""
    assert running.returncode == 0


@pytest.mark.parametrize("kind", ["absent", "empty", "header.csv"])
def test_a_ladder_that_is_still_to_be_trained_gets_a_first_plan(ask: Asked, tmp_path: Path, kind: str) -> None:
    if kind == "empty":
        (tmp_path / "new").mkdir()
    (tmp_path / "header.csv").write_text("run,params,tokens,loss\n")
    made = ask("plan", "header.csv" if kind == "header.csv" else "new", *MORE["plan"])

    assert made["flops"] == sum(run["flops"] for run in made["runs"]) <= 1e19
    assert len({run["params"] for run in made["runs"]}) >= 5
    assert made["interval_width"] is None
    assert any(note.startswith("no_fit") for note in made["notes"])
    assert (tmp_path / "new").exists() == (kind == "empty")  # the command line never writes to a ladder


def test_a_plan_says_how_much_each_run_narrows_the_interval_of_the_forecast(ask: Asked) -> None:
    made, forecast = ask("plan", "ladder.csv", *MORE["plan"]), ask("forecast", "ladder.csv", *TARGET)
    shown = ask("plan", "ladder.csv", *MORE["plan"], words=True)

    assert made["interval_width"] == forecast["interval"]["upper"] - forecast["interval"]["lower"]
    widths = [made["interval_width"], *(run["expected_interval_width"] for run in made["runs"])]
    assert widths == sorted(widths, reverse=True)
    assert all(run["expected_relative_width"] < 1 for run in made["runs"])
    first, last = made["runs"][0], made["runs"][-1]
    assert shown.startswith(f"train these {len(made['runs'])} runs, {format_count(first['params'])} parameters on ")
    narrows = f"narrows from {format_loss(widths[0])} to {format_loss(last['expected_interval_width'])}"
    assert narrows in shown.splitlines()[0]
    assert "tokens per param" in shown
