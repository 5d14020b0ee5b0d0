"""Claims about the checklist: complete, never made up, and answered by the tool, the cards or the form that says so."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support_training import TARGET as TINY
from support_training import Tiny, train

from scaling_callback import Ladder, ScalingCallback, cli
from scaling_callback.errors import InputError, ScalingWarning
from scaling_callback.measuring.environment import describe_version, find_commit
from scaling_callback.pipeline import refresh
from scaling_callback.records import Run, Target
from scaling_callback.reporting import checklist, checklist_numbers, read_form, write_form
from scaling_callback.reporting.audit.questions import QUESTIONS
from scaling_callback.snapshot import Config, Snapshot
from scaling_callback.tables import write_table
from scaling_callback.testing import planted_ladder

CONFIG = Config(target=Target(params=1e10, tokens=2e11), replicates=60)

NEEDS: dict[int, tuple[str, ...]] = {
    2: ("metric", "loss_unit"),
    8: ("corpus", "unique_tokens"),
    9: ("params_kind",),
    11: ("optimizer",),
    12: ("architecture",),
    13: ("tokenizer", "precision", "seeds", "hardware", "code_version"),
    14: ("code_url",),
    15: ("checkpoints_url",),
    16: ("averaging",),
    17: ("evaluation_code_url",),
    19: ("metric", "evaluation"),
    20: ("points_url",),
}
"""What must be known for an item to be answered: without any one of these it waits."""

KEYS = sorted({key for keys in NEEDS.values() for key in keys})


@cache
def planted(finished: int = 12) -> Snapshot:
    return refresh(planted_ladder(seed=3)[:finished], (), CONFIG)


def told(snapshot: Snapshot, **recipe: str) -> Snapshot:
    """The same whose cards say that."""
    return replace(
        snapshot, runs=tuple(Run(replace(r.card, recipe=recipe), r.curve, r.notes, r.completed) for r in snapshot.runs)
    )


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.sampled_from(KEYS)), st.sets(st.sampled_from(KEYS)), st.sampled_from([0, 2, 3, 12])
)  # fmt: skip
def test_items_are_complete_and_answered_where_every_fact_is_known_and_nowhere_else(
    in_form: set[str], in_cards: set[str], finished: int
) -> None:
    snapshot = told(planted(finished), **{key: f"card {key}" for key in in_cards})
    answers = {key: f"form {key}" for key in in_form}
    numbers = checklist_numbers(snapshot, answers)
    assert sorted(number for listed in numbers.values() for number in listed) == list(range(1, 27))
    known = in_form | (in_cards if finished else set())
    items = {item.number: item for item in checklist(snapshot, answers)}
    for number, keys in NEEDS.items():
        if number == 11 and not finished:  # there is no schedule either
            assert items[11].status == "unanswered"
            continue
        assert items[number].status == ("answered" if set(keys) <= known else "asked"), number
        assert set(items[number].keys) == set(keys) - known
        for key in keys:
            assert (f"form {key}" in items[number].text) == (key in in_form)
            assert (f"card {key}" in items[number].text) == (key in in_cards and key not in in_form and finished > 0)
        if set(keys) & in_form:
            assert "form" in items[number].sources


def without(run: Run, **changes: Any) -> Run:
    return Run(replace(run.card, **changes), run.curve, run.notes, run.completed)


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (3, {"fit": None}),
        (5, {"fit": None}),
        (18, {"evidence": replace(refresh((), (), CONFIG).evidence)}),
        (21, {"fit": None}),
        (22, {"fit": None}),
        (23, {"fit": None}),
        (24, {"fit": None}),
        (26, {"fit": None}),
        (26, {"record": refresh((), (), CONFIG).record}),
        *((number, {"runs": ()}) for number in (6, 7, 10, 11, 25)),
        (7, {"runs": tuple(without(run, horizon=None) for run in planted_ladder(seed=3) if not run.completed)}),
        (11, {"runs": tuple(without(run, schedule=None) for run in planted_ladder(seed=3))}),
        (11, {"runs": tuple(without(run, peak_lr=None) for run in planted_ladder(seed=3))}),
    ],
)
def test_no_item_is_answered_when_its_fact_is_removed(number: int, changes: dict[str, Any]) -> None:
    full = told(planted(), optimizer="AdamW")
    assert number in checklist_numbers(full)["answered"]
    assert number not in checklist_numbers(replace(full, **changes))["answered"]


def test_a_size_is_named_only_by_a_counting_that_every_run_shares() -> None:
    runs = [without(run, sizes={"total": run.params}) for run in planted_ladder(seed=3)]
    snapshot = replace(planted(), runs=tuple(runs))
    assert 9 in checklist_numbers(snapshot)["answered"]
    other = replace(snapshot, runs=(*runs[1:], without(runs[0], sizes={"total": 2 * runs[0].params})))
    assert 9 in checklist_numbers(other)["asked"]


def test_a_fact_that_some_runs_alone_say_is_told_with_their_number() -> None:
    said: dict[str, Any] = {
        "schedule": "cosine", "peak_lr": 0.01, "batch_tokens": 4096.0, "seed": "7", "loss_kind": "val/loss",
        "sizes": {"total": 5.0}, "recipe": {"tokenizer": "bpe"}, "extra": {"pass_tokens": "1e9"},
    }  # fmt: skip
    silent = dict.fromkeys(said) | {"sizes": {}, "recipe": {}, "extra": {}}
    runs = [without(run, **(said if i < 2 else silent)) for i, run in enumerate(planted().runs)]
    items = {item.number: item.text for item in checklist(replace(planted(), runs=tuple(runs)))}
    limit = "(said of 2 of 12 runs)"
    assert f"L: val/loss {limit}." in items[2]
    assert f"over the data {limit}" in items[5]
    assert f"as its loader counts {limit}." in items[8]
    assert f"Recorded besides: total {limit}." in items[9]
    assert f"Schedule: cosine {limit}. Peak learning rate: 0.01 {limit}." in items[11]
    assert f"Tokens in a batch: 4.1k {limit}." in items[11]
    assert f"Tokenizer: bpe {limit}." in items[13]
    assert f"Seeds: 7 {limit}." in items[13]
    assert f"Metric: val/loss {limit}." in items[19]
    every = checklist(replace(planted(), runs=tuple(without(run, **said) for run in planted().runs)))
    assert not any("(said of" in item.text for item in every)


@pytest.mark.parametrize("answers", [{}, {"left_out": "two that diverged"}])
def test_runs_that_are_set_aside_for_their_loss_are_told_whatever_the_form_says(answers: dict[str, str]) -> None:
    hot = [Run(replace(run.card, name=f"{run.name}-hot", peak_lr=1.0), run.curve) for run in planted().runs]
    snapshot = refresh([*planted().runs, *hot], (), replace(CONFIG, runs="best", replicates=0))
    items = {item.number: item for item in checklist(snapshot, answers)}
    for number in (6, 25):
        assert "12 of 24 runs are set aside" in items[number].text
    assert "No run is left out" not in items[25].text
    assert "set aside" not in items[7].text + "".join(item.text for item in checklist(planted(), answers))


def test_no_run_is_said_to_be_left_out_where_a_card_excludes_none() -> None:
    first, *others = planted().runs
    for runs, said in (
        (planted().runs, "No run is left out."),
        ((without(first, excluded="spike"), *others), "1 run excluded by a line in its card: spike."),
    ):
        items = {item.number: item for item in checklist(refresh(runs, (), replace(CONFIG, replicates=0)))}
        assert items[25].text.startswith(said)


def test_repetition_is_worked_out_from_the_unique_tokens() -> None:
    items = {item.number: item for item in checklist(told(planted(), unique_tokens="6e9"))}
    assert "4.000 passes over the data" in items[5].text


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ladder that the callback wrote, with the recipe of the demo."""
    ladder = tmp_path_factory.mktemp("trained") / "ladder"
    recipe = {"data": "python standard library", "tokenizer": "bytes", "optimizer": "AdamW"}
    for width in (2, 4, 6, 8, 12):
        train(ScalingCallback(TINY, ladder, recipe=recipe, refit_budget=0.0, replicates=0), model=Tiny(width))
    return ladder


def test_of_a_trained_ladder_sixteen_items_are_filled_without_asking_and_none_with_a_guess(trained: Path) -> None:
    snapshot = refresh(Ladder(trained).runs(), (), Config(target=TINY, replicates=60))
    numbers = checklist_numbers(snapshot)
    assert len(numbers["answered"]) >= 16
    # what nobody has said is asked: the unit, the family, where things are, what the validation is
    assert numbers["asked"] == [2, 12, 14, 15, 16, 17, 19, 20]
    items = {item.number: item for item in checklist(snapshot)}
    assert "AdamW (betas 0.9, 0.999; eps 1e-08; weight_decay 0.01)" in items[11].text
    assert "Warmup: 0.0% of the planned training" in items[11].text
    assert "Precision: 32-true" in items[13].text
    assert "1 x CPU" in items[13].text
    assert re.search(r"Code version: .*support_training.py with sha256 [0-9a-f]{16}", items[13].text)
    assert "Data set: 64 samples. A run makes 0.7500 passes over it" in items[8].text
    assert "No callback of the Trainer is one that averages weights" in items[16].text
    assert "1 Embedding, 1 Linear" in items[12].text
    assert "Batches of a validation: 1" in items[19].text


def test_data_without_a_length_make_no_claim_about_repetition(tmp_path: Path) -> None:
    from support_training import Stream

    train(ScalingCallback(TINY, tmp_path / "l", recipe={"data": "c4"}), data=Stream())
    (run,) = Ladder(tmp_path / "l").runs()
    assert not {"dataset_length", "pass_tokens"} & {*run.card.extra}


def test_the_form_is_left_in_a_new_ladder_and_never_written_over(trained: Path, tmp_path: Path) -> None:
    assert (trained / "card.yaml").read_text("utf-8") == write_form()
    ladder = tmp_path / "ladder"
    ladder.mkdir()
    (ladder / "card.yaml").write_text("corpus: mine\n", "utf-8")
    train(ScalingCallback(TINY, ladder))
    assert (ladder / "card.yaml").read_text("utf-8") == "corpus: mine\n"
    assert len(Ladder(ladder).runs()) == 1


@pytest.mark.parametrize("content", [b": : :", b"\x00\xff" * 10, b"a: [" * 2000], ids=["broken", "binary", "deep"])
def test_a_broken_form_costs_no_training(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "card.yaml").write_bytes(content)
    train(ScalingCallback(TINY, tmp_path))
    assert len(Ladder(tmp_path).runs()[0].curve) == 3
    assert (tmp_path / "card.yaml").read_bytes() == content


def test_a_form_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise OSError("the disk is full")

    monkeypatch.setattr(Ladder, "leave_form", fail)
    with pytest.warns(ScalingWarning, match=r"card\.yaml could not be written \(OSError: the disk is full\)"):
        train(ScalingCallback(TINY, tmp_path))
    assert len(Ladder(tmp_path).runs()[0].curve) == 3


def test_two_that_leave_the_form_at_once_leave_it_once() -> None:
    first, second = Ladder("memory://two-forms"), Ladder("memory://two-forms")
    assert [first.leave_form("a:"), second.leave_form("b:")] == [True, False]
    assert second.form() == b"a:"
    assert first.runs() == ()


def test_the_form_asks_every_question_once_and_an_empty_one_answers_nothing() -> None:
    assert list(yaml.safe_load(write_form())) == list(QUESTIONS)
    assert read_form(write_form().encode(), "card.yaml") == {}
    assert all(f"# {question.number}. {question.text}" in write_form() for question in QUESTIONS.values())
    asked = {key for item in checklist(refresh((), (), CONFIG)) for key in item.keys}
    assert asked <= set(QUESTIONS)
    assert {question.number for question in QUESTIONS.values()} <= set(range(1, 27))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(QUESTIONS)), st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
)
def test_whatever_is_written_into_the_form_comes_back_as_it_was_written(answers: dict[str, str]) -> None:
    data = yaml.safe_dump(answers, allow_unicode=True).encode()
    assert read_form(data, "card.yaml") == {key: text.strip() for key, text in answers.items() if text.strip()}


def test_an_answer_stays_the_word_that_was_written() -> None:
    data = (
        b"averaging: no\nunique_tokens: 3e9\nseeds: 0x1f\ncode_version: 2024-01-02\nmetric: ~\ncorpus: >\n  c4,\n  en\n"
    )
    assert read_form(data, "f") == {
        "averaging": "no", "unique_tokens": "3e9", "seeds": "0x1f", "code_version": "2024-01-02", "corpus": "c4, en"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"corpus: c4\ncorpsu: c4\n", "line 2: 'corpsu' is no key of the form; did you mean 'corpus'"),
        (b"- corpus\n", "line 1: it holds no keys"),
        (b"just words\n", "line 1: it holds no keys"),
        (b"corpus: [a, b]\n", "line 1: the answer to 'corpus' is no text"),
        (b"\ncorpus:\n  a: b\n", "line 2: the answer to 'corpus' is no text"),
        (b"corpus: !!python/object/apply:os.system ['true']\n", "line 1: the answer to 'corpus' is no text"),
        (b"corpus: !!binary aGk=\n", "line 1: the answer to 'corpus' is no text"),
        (b"corpus: a\ncorpus: b\n", "line 2: 'corpus' stands there twice"),
        (b"metric: a\ncorpus: 'open\n", "line 3: it is no YAML"),
        (b"corpus: a: b\n", "line 1: it is no YAML"),
        (b"corpus: *other\n", "line 1: it is no YAML"),
        (b"metric: a\ncorpus: \xff\n", "line 2: it is no UTF-8 text"),
        (b"metric: a\ncorpus: \x07\n", "line 2: it holds a character that is no text"),
        (b"[" * 5000, "nested too deeply"),
        (b"? [a]\n: b\n", "line 1: a list or mapping is no key of the form"),
        (b"corpus: a\n" * 10**6, "line 1: it holds more than"),
        (b"a: 1\n---\nb: 2\n", "line 2: it is no YAML"),
    ],
)
def test_a_broken_form_is_refused_in_a_line_that_names_file_line_and_key(data: bytes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_form(data, "ladder/card.yaml")
    message = str(caught.value)
    assert message.startswith("ladder/card.yaml")
    assert words in message
    assert "\n" not in message
    assert len(message) < 600


@pytest.fixture
def told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a ladder says is worked out once: the claims that use this are about what is written of it, and where."""
    monkeypatch.setattr("scaling_callback.pipeline.refresh", lambda *_: planted())


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    status = cli.main(["report", *arguments, "--target", "params=1e9,tokens=20B", "--json"])
    said = capsys.readouterr()
    return status, json.loads(said.out) if said.out else {}, said.err


@pytest.mark.usefixtures("told_once")
def test_a_named_form_that_is_missing_is_written_beside_a_table_and_read_the_next_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, card, output = tmp_path / "runs.csv", tmp_path / "answers.yaml", tmp_path / "report.json"
    write_table(planted_ladder(points=4), source)
    status, before, said = ask(capsys, str(source), "--card", str(card), "--output", str(output))
    assert status == 0
    assert f"wrote the form {card}" in said
    assert card.read_text("utf-8") == write_form()
    card.write_text(card.read_text("utf-8").replace("\ncode_url:", "\ncode_url: here <b>"), "utf-8")
    status, after, said = ask(capsys, str(source), "--card", str(card), "--output", str(output))
    assert (status, said) == (0, "")
    assert set(after["checklist"]["answered"]) - set(before["checklist"]["answered"]) == {14}
    item = json.loads(output.read_text("utf-8"))["checklist"]["items"][13]
    assert (item["status"], item["sources"], item["text"]) == ("answered", ["form"], "here <b>.")


@pytest.mark.usefixtures("told_once")
def test_a_report_says_where_its_questions_can_be_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ladder, table, card = tmp_path / "ladder", tmp_path / "runs.csv", tmp_path / "mine.yaml"
    runs = planted_ladder(points=4)
    write_table(runs, table)
    for run in runs:
        Ladder(ladder).start(run.card).observe(list(run.curve))
    form = ladder / "card.yaml"
    form.write_text(write_form(), "utf-8")

    def where(*arguments: str) -> tuple[str | None, str]:
        _, answer, _ = ask(capsys, *arguments, "--output", str(tmp_path / "report.json"))
        (said,) = json.loads((tmp_path / "report.json").read_text("utf-8"))["checklist"]["says"]
        return answer["card"], said.partition("Answer what is asked in ")[2].partition(", in the recipe")[0]

    without = (None, "a form (report --card FILE writes one)")
    assert where(str(ladder)) == (str(form), str(form))
    assert where(str(ladder), "--card", str(card)) == (str(card), str(card))
    assert where(str(table)) == without
    form.unlink()
    assert where(str(ladder)) == without


@pytest.mark.usefixtures("told_once")
def test_the_form_of_a_ladder_is_read_and_nothing_is_written_into_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder, output = tmp_path / "ladder", str(tmp_path / "report.md")
    for run in planted_ladder(points=4):
        Ladder(ladder).start(run.card).observe(list(run.curve))
    files = sorted(ladder.rglob("*"))
    inside = next(ladder.rglob("card.json")).with_name("x.yaml")
    _, before, _ = ask(capsys, str(ladder), "--output", output)
    for place in (ladder / "card.yaml", inside, ladder / "absent" / "x.yaml"):
        status, _, said = ask(capsys, str(ladder), "--card", str(place), "--output", output)
        assert status == 2
        assert said.count("\n") == 1
    write_table(planted_ladder(points=4), tmp_path / "runs.csv")
    for place in (ladder / "card.yaml", inside):
        status, _, said = ask(capsys, str(tmp_path / "runs.csv"), "--card", str(place), "--output", output)
        assert (status, "lies in a ladder" in said) == (2, True)
    assert sorted(ladder.rglob("*")) == files
    (ladder / "card.yaml").write_text("tokenizer: bpe\nevaluation: held out\nmetric: loss\n", "utf-8")
    _, after, _ = ask(capsys, str(ladder), "--output", output)
    assert set(after["checklist"]["answered"]) - set(before["checklist"]["answered"]) == {19}
    (ladder / "card.yaml").write_text("tokeniser: bpe\n", "utf-8")
    status, _, said = ask(capsys, str(ladder), "--output", output)
    assert (status, said.count("\n")) == (2, 1)
    assert f"{ladder}/card.yaml line 1: 'tokeniser'" in said


@pytest.mark.parametrize("spelled", ["same", "dots", "symbolic", "hard", "dangling", "of a ladder"])
def test_a_report_is_never_written_over_the_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spelled: str
) -> None:
    source, card = tmp_path / "absent.csv", tmp_path / "answers.md"
    output = tmp_path / ("answers.md" if spelled == "same" else "report.md")
    if spelled != "dangling":
        card.write_text("corpus: c4\n", "utf-8")
    asked = ["--card", str(card)]
    if spelled == "dots":
        output = tmp_path / "folder" / ".." / "answers.md"
        (tmp_path / "folder").mkdir()
    elif spelled in ("symbolic", "dangling"):
        output.symlink_to(card)
    elif spelled == "hard":
        output.hardlink_to(card)
    elif spelled == "of a ladder":
        source, asked = tmp_path / "ladder", []
        source.mkdir()
        card = card.rename(source / "card.yaml")
        output.hardlink_to(card)
    status, _, said = ask(capsys, str(source), *asked, "--output", str(output))
    assert (status, said.count("\n")) == (2, 1)
    assert "is the file of the answers" in said  # and not that SOURCE is absent: it is refused before any work
    assert card.exists() == (spelled != "dangling")
    assert spelled == "dangling" or card.read_text("utf-8") == "corpus: c4\n"


@pytest.mark.usefixtures("told_once")
@pytest.mark.parametrize(("name", "begins"), [("r.html", "<!"), ("r.MD", "# "), ("r.json", "{"), ("r", "<!")])
def test_the_suffix_says_how_the_report_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, begins: str
) -> None:
    write_table(planted_ladder(points=4), tmp_path / "runs.csv")
    status, answer, _ = ask(capsys, str(tmp_path / "runs.csv"), "--output", str(tmp_path / name))
    assert status == 0
    assert set(answer) >= {"output", "checklist"}
    assert set(answer["checklist"]) == {"answered", "asked", "unanswered"}
    assert sorted(number for numbers in answer["checklist"].values() for number in numbers) == list(range(1, 27))
    assert (tmp_path / name).read_text("utf-8").lstrip().startswith(begins)


def test_another_suffix_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, said = ask(capsys, str(tmp_path / "absent.csv"), "--output", str(tmp_path / "report.pdf"))
    assert (status, said.count("\n")) == (2, 1)
    assert ".html, .md, .json" in said


def test_the_commit_is_read_from_the_files_of_a_repository_and_nothing_is_run(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert find_commit(tmp_path / "absent") is None
    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "first")
    wanted = git("rev-parse", "HEAD")
    (tmp_path / ".git" / "config").write_text("[core]\n fsmonitor = touch ran\n")
    below = tmp_path / "deep" / "er"
    below.mkdir(parents=True)
    assert find_commit(below) == wanted
    git("pack-refs", "--all")
    assert find_commit(below) == wanted
    git("worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    assert find_commit(tmp_path / "tree") == wanted
    assert not (tmp_path / "ran").exists()


def test_the_code_of_a_package_is_not_the_code_of_whoever_trains() -> None:
    from torch import nn

    assert describe_version(nn.Linear(1, 1)) is None  # and the script is that of the test runner
