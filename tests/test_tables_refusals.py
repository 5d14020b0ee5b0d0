"""Claims about tables that cannot be used: one line with the place, what was found and what to do."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import GOOD, HEADER, ROWS, Writer, refusal

from scaling_callback.errors import InputError
from scaling_callback.tables import check_table, read_table

BAD_CELLS = {
    "tokens is negative": ("a,1e6,-3,4.0", ["tokens is -3", "positive"]),
    "tokens is zero": ("a,1e6,0,4.0", ["tokens is 0", "positive"]),
    "tokens is infinite": ("a,1e6,inf,4.0", ["tokens is inf", "finite"]),
    "tokens is nan": ("a,1e6,nan,4.0", ["tokens is nan", "positive"]),
    "tokens is empty": ("a,1e6,,4.0", ["tokens is empty", "positive"]),
    "tokens is text": ("a,1e6,many,4.0", ["tokens is 'many'", "number"]),
    "params is negative": ("a,-1e6,1e8,4.0", ["params is -1e+06", "positive"]),
    "params is empty": ("a,,1e8,4.0", ["params is empty", "positive"]),
    "params is text": ("a,7B,1e8,4.0", ["params is '7B'", "number"]),
    "loss is negative": ("a,1e6,1e8,-4", ["loss is -4", "positive"]),
    "loss is zero": ("a,1e6,1e8,0", ["loss is 0", "positive"]),
    "loss is infinite": ("a,1e6,1e8,inf", ["loss is inf", "finite"]),
    "loss has a decimal comma": ('a,1e6,1e8,"4,0"', ["loss is '4,0'", "number"]),
    "run is empty": (",1e6,1e8,4.0", ["run is empty", "name"]),
    "a field is missing": ("a,1e6,1e8", ["3 field(s)", "has 4"]),
    "a field is too many": ("a,1e6,1e8,4.0,5.0", ["5 field(s)", "has 4"]),
    "a long text is cut": (f"a,1e6,1e8,{'x' * 500}", ["loss is 'xxx", "..."]),
}


@pytest.mark.parametrize(("row", "words"), BAD_CELLS.values(), ids=BAD_CELLS)
def test_a_bad_cell_is_refused_by_file_row_column_and_what_was_found(table: Writer, row: str, words: list[str]) -> None:
    path = table("\n".join([HEADER, ROWS[0], "", ROWS[1], row, ROWS[2]]))

    message = refusal(path)

    assert "ladder.csv row 5" in message, "the blank line counts, as in an editor"
    assert all(word in message for word in words), message
    runs, problems = check_table(path)
    assert [run.name for run in runs] == ["a", "b"]
    assert problems == [message]


BAD_FILES = {
    "no tokens": ("run,params,loss\na,1,1\n", ["no column 'tokens'", "run, params, loss"]),
    "two columns missing": ("run,params\na,1\n", ["no column 'tokens' and no column 'loss'"]),
    "empty": ("", ["is empty", "run, params, tokens, loss"]),
    "blank": ("\n \n", ["is empty"]),
    "empty quotes": ('""', ["is empty"]),
    "header only": (HEADER + "\n", ["no rows"]),
    "duplicate header": ("run,params,tokens,loss,loss\na,1,1,1,1\n", ["'loss' stands twice"]),
    "latin-1": (GOOD.replace("b,", "\u00e9,").encode("latin-1"), ["row 4", "UTF-8", "0xe9"]),
    "utf-16": (GOOD.encode("utf-16"), ["UTF-16", "UTF-8"]),
    "utf-16 without mark": (GOOD.encode("utf-16-le"), ["row 1", "UTF-16"]),
    "binary": (bytes(range(256)), ["UTF-8"]),
    "an unclosed quote": (GOOD.replace("b,", '"b,'), ["row 4", "1 field(s)"]),
    "an endless cell": (HEADER + "\n" + "x" * 200_000, ["row 2", "field"]),
}


@pytest.mark.parametrize(("content", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_no_table_is_refused_by_name_and_reason(table: Writer, content: Any, words: list[str]) -> None:
    message = refusal(table(content))

    assert message.startswith("ladder.csv")
    assert all(word in message for word in words), message


BAD_LINES = {
    "not JSON": ("run: a", "row 3 is not JSON"),
    "a list": ("[1, 2]", "row 3 is a JSON list"),
    "deeply nested": ("[" * 100_000, "row 3 is not JSON"),
    "a bad cell": ('{"run": "a", "params": 1, "tokens": true, "loss": 1}', "row 3: tokens is 'True'"),
    "no run": ('{"params": 1, "tokens": 1, "loss": 1}', "row 3: run is empty"),
}


@pytest.mark.parametrize(("line", "words"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_of_json_is_named_with_its_number(table: Writer, line: str, words: list[str]) -> None:
    good = '{"run": "a", "params": 1, "tokens": 2, "loss": 3}'
    assert words in refusal(table(f"{good}\n\n{line}\n", "ladder.jsonl"))


@pytest.mark.parametrize(("name", "words"), [("", "a folder"), ("no.csv", "not exist"), ("x" * 300, "not be read")])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str, words: list[str]) -> None:
    assert words in refusal(tmp_path / name)


def test_a_file_that_is_no_parquet_is_refused(table: Writer) -> None:
    assert "ladder.parquet is not a Parquet table" in refusal(table("PAR1", "ladder.parquet"))


cells = st.one_of(st.text(max_size=6), st.sampled_from(["a", "1", "1e8", "-1", "nan", "inf", '"', "1e-300", "true"]))


@settings(max_examples=60)
@given(content=st.one_of(st.binary(max_size=80), st.lists(st.lists(cells, min_size=4, max_size=6), max_size=4)))
@pytest.mark.parametrize("name", ["ladder.csv", "ladder.jsonl", "ladder.parquet"])
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_line(table: Writer, name: str, content: Any) -> None:
    if isinstance(content, list):
        content = "\n".join([HEADER + ",is_final,total_tokens", *map(",".join, content)]).encode()
    path = table(content, name)
    with contextlib.suppress(InputError):
        assert all(len(run.curve) for run in read_table(path))
        return
    assert "ladder." in refusal(path)


def test_check_table_lists_every_bad_row_and_read_table_stops_at_one(table: Writer) -> None:
    rows = ["a,1,1,1,", "a,1,-1,1,", "b,1,1,1,x", "c,1,1", "d,1,2,0,"]
    path = table("\n".join([HEADER + ",is_final", *rows]))

    runs, problems = check_table(path, where=[("params", "1")])

    assert [run.name for run in runs] == ["a"]
    assert [problem.split(":")[0].split(" has")[0] for problem in problems] == [
        f"ladder.csv row {n}" for n in (3, 4, 5, 6)
    ]
    assert refusal(path) in problems
