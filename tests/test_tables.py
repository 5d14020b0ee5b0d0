"""Claims about observation tables: every dialect, and what becomes of each column; and back to a file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import GOOD, HEADER, ROWS, Writer, refusal

from scaling_callback.records import Curve, Observation, Run, RunCard
from scaling_callback.tables import read_table, write_table

SAME = {
    "as it is": ("ladder.csv", GOOD),
    "semicolons": ("ladder.csv", GOOD.replace(",", ";")),
    "tabs": ("ladder.tsv", GOOD.replace(",", "\t")),
    "byte order mark": ("ladder.csv", "\ufeff" + GOOD),
    "carriage returns": ("ladder.csv", GOOD.replace("\n", "\r\n")),
    "old carriage returns": ("ladder.csv", GOOD.replace("\n", "\r")),
    "blank lines": ("ladder.csv", "\n" + GOOD.replace("\n", "\n\n")),
    "spaces": ("ladder.csv", GOOD.replace(",", " , ")),
    "no extension": ("ladder", GOOD),
    "JSON lines": (
        "ladder.JSONL",
        "\n".join(json.dumps(dict(zip(HEADER.split(","), row.split(","), strict=True))) for row in ROWS),
    ),
}


@pytest.mark.parametrize(("name", "content"), SAME.values(), ids=SAME)
def test_every_dialect_gives_the_same_runs(table: Writer, name: str, content: Any) -> None:
    runs = read_table(table(content, name))

    assert [(r.name, r.params, r.curve.tokens.tolist(), r.curve.loss.tolist()) for r in runs] == [
        ("a", 1e6, [1e8, 2e8], [4.0, 3.5]),
        ("b", 2e6, [2e8], [3.4]),
    ]


def test_parquet_and_data_frame_give_the_same_runs_as_csv(table: Writer, tmp_path: Path) -> None:
    frame = pd.read_csv(table(GOOD)).assign(seed=pd.array([1, None, 2], dtype="Int64"))
    frame.to_parquet(tmp_path / "ladder.parquet")

    for runs in (read_table(frame), read_table(tmp_path / "ladder.parquet")):
        assert [(run.name, run.params, run.card.seed, run.final.loss) for run in runs] == [
            ("a", 1e6, None, 3.5),
            ("b", 2e6, "2", 3.4),
        ]
    assert "data frame row 1: tokens is -1" in refusal(frame.assign(tokens=[1, -1, 1]))
    assert "'loss' stands twice" in refusal(pd.DataFrame([[1, 2, 3]], columns=["run", "loss", "loss"]))
    assert "no column 'run'" in refusal(pd.DataFrame({0: [1], ("a", 1): [2]}))


def test_quoted_names_may_hold_delimiters_quotes_and_line_breaks(
    table: Writer,
) -> None:
    path = table(f'{HEADER}\n"a, ""b""\nc\u2028d",1,1,1\nb,1,x,1\n')

    assert "row 4: tokens is 'x'" in refusal(path)
    assert read_table(path, where=[("run", 'a, "b"\nc\u2028d')])[0].name == 'a, "b"\nc\u2028d'


@pytest.mark.parametrize("loss", ["nan", "NaN", ""])
def test_a_loss_that_is_not_a_number_is_recorded_and_counted(table: Writer, loss: str) -> None:
    (run,) = read_table(table(f"{HEADER}\na,1,1,4\na,1,2,{loss}\n"))

    assert len(run.curve) == 2
    assert math.isnan(run.curve.loss[1])
    assert run.final is None
    assert [note for note in run.notes if "1 loss(es) that are not a number" in note]


def test_of_a_repeated_observation_the_last_counts_and_the_repeat_is_noted(table: Writer) -> None:
    (run,) = read_table(table(f"{HEADER}\na,1,1,4\na,1,2,3\na,1,1,5\na,1,1,6\n"))

    assert run.curve.loss.tolist() == [6.0, 3.0]
    assert [note for note in run.notes if note.startswith("2 repeated")]


def test_several_kinds_of_loss_are_refused_by_name_until_one_is_chosen(table: Writer) -> None:
    path = table(f"{HEADER},loss_kind\na,1,1,4,val:c4\na,1,1,5,val:pile\n")

    assert "'val:c4', 'val:pile'" in refusal(path)
    assert read_table(path, where=[("loss_kind", "val:pile")])[0].curve.loss.tolist() == [5.0]


WHERE = {
    "numbers are compared as numbers": (["width=6.4e1"], "a b"),
    "text is compared as text": (["width=wide"], "d"),
    "one column repeated is OR": (["width=64", "width=128"], "a b c"),
    "several columns are AND": (["width=64", "data=c4"], "a"),
    "OR within AND": (["width=64", "width=128", "data=c4"], "a c"),
    "an empty cell can be asked for": (["data="], "d"),
    "nan is a text like any other": (["data=nan"], "e"),
}


@pytest.mark.parametrize(("where", "names"), WHERE.values(), ids=WHERE)
def test_where_selects_rows(table: Writer, where: list[str], names: str) -> None:
    rows = ["a,1,1,1,64,c4", "b,1,1,1,64.0,pile", "c,1,1,1,128,c4", "d,1,1,1,wide,", "e,1,1,1,8,nan"]
    path = table("\n".join([HEADER + ",width,data", *rows]))

    runs = read_table(path, where=[(c, v) for c, _, v in (pair.partition("=") for pair in where)])

    assert [run.name for run in runs] == names.split()
    assert "no column 'depth'" in refusal(path, where=[("depth", "1")])
    message = refusal(path, where=[("width", "8"), ("data", "c4")])
    assert "width = '8' and data = 'c4'" in message
    assert "data holds" in message


def test_params_names_the_column_that_counts_n_and_the_others_are_kept(table: Writer) -> None:
    path = table("run,params_total,params_ne,tokens,loss,width\na,1e6,9e5,1e8,4.0,64\n")

    (run,) = read_table(path, params="params_ne")

    assert run.params == 9e5
    assert run.card.sizes == {"params_total": 1e6, "params_ne": 9e5}
    assert run.card.extra == {"width": "64"}
    assert "no column 'params'" in refusal(path)
    assert "no column 'size' to count N by" in refusal(path, params="size")
    assert "'loss' is no count of N" in refusal(path, params="loss")


HORIZONS = {
    # total_tokens, is_final by row; horizon, progress at the end, loss of the final, words of a note
    "total_tokens is the horizon": (["9", "9", "9"], ["", "", ""], 9, 1 / 3, None, ""),
    "without it the last row is, with a note": (["", "", ""], ["", "", ""], 3, 1.0, 2.0, "no total_tokens"),
    "nan is unknown": (["nan", "nan", "nan"], ["no", "no", "no"], 3, 1.0, 2.0, "no total_tokens"),
    "a flag needs no horizon": (["", "", ""], ["", "", "yes"], 3, 1.0, 2.0, ""),
    "the last one given counts": (["9", "3", ""], ["", "", ""], 3, 1.0, 2.0, "total_tokens has 2 values"),
    "progress is clipped at 1": (["2", "2", "2"], ["", "", ""], 2, 1.0, 2.0, "1 observation(s) beyond"),
    "from progress .97 a run is final": (["3.09"] * 3, ["", "", ""], 3.09, 3 / 3.09, 2.0, ""),
    "the last flag is the final": (["9"] * 3, ["true", "1", "False"], 9, 1 / 3, 3.0, ""),
    "a flag before the end outranks it": (["3"] * 3, ["True", "0", "no"], 3, 1.0, 4.0, ""),
}


@pytest.mark.parametrize(
    ("total", "flags", "horizon", "progress", "final", "note"),
    HORIZONS.values(),
    ids=HORIZONS,
)
def test_horizon_progress_and_final_follow_the_contract(
    table: Writer, total: list[str], flags: list[str], horizon: float, progress: float, final: float | None, note: str
) -> None:
    rows = [f"a,1,{i + 1},{4 - i},{total[i]},{flags[i]}" for i in range(3)]

    (run,) = read_table(table("\n".join([HEADER + ",total_tokens,is_final", *rows])))

    assert run.horizon == horizon
    assert run.progress[-1] == pytest.approx(progress)
    assert (run.final and run.final.loss) == final
    assert note in " ".join(run.notes)
    assert bool(run.notes) == bool(note)


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(str.strip).filter(bool)
positive = st.floats(1e-30, 1e30)
maybe = st.one_of(st.none(), positive)
observations = st.builds(
    Observation,
    tokens=positive,
    loss=st.one_of(positive, st.just(math.nan)),
    step=st.one_of(st.just(math.nan), st.floats(0, 1e9)),
    lr=st.one_of(st.just(math.nan), st.floats(0, 1)),
    wall_time=st.one_of(st.just(math.nan), st.floats(0, 1e10)),
    is_final=st.booleans(),
)
texts = st.one_of(st.none(), words)
cards = st.builds(
    RunCard,
    name=words,
    params=positive,
    horizon=positive,
    **dict.fromkeys(("schedule", "seed", "parent"), texts),
    **dict.fromkeys(("peak_lr", "batch_tokens", "flops_per_token"), maybe),
    sizes=st.fixed_dictionaries({"params": positive, "params_ne": positive}),
    extra=st.dictionaries(st.sampled_from(["width", "data"]), words, max_size=2),
)


@settings(max_examples=80)
@given(
    cards=st.lists(cards, min_size=1, max_size=3, unique_by=lambda card: card.name),
    seen=st.lists(observations, min_size=1, max_size=4),
)
def test_what_is_written_is_read_back(tmp_path: Path, cards: list[RunCard], seen: list[Observation]) -> None:
    written = [Run(card, Curve.of(seen)) for card in cards]
    write_table(written, tmp_path / "ladder.csv")

    for run, back in zip(written, read_table(tmp_path / "ladder.csv"), strict=True):
        assert list(map(str, back.curve)) == list(map(str, run.curve))
        for name in ("name", "params", "horizon", "schedule", "seed", "parent", "peak_lr", "batch_tokens", "extra"):
            assert getattr(back.card, name) == getattr(run.card, name), name
        assert back.card.flops_per_token == pytest.approx(run.card.flops_per_token)
        assert back.card.sizes == run.card.sizes | {"params": run.params}
