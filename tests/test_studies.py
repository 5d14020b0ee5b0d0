"""The studies: what is shipped for them may be, they use what everybody can, and their pages say what a run says."""

from __future__ import annotations

import argparse
import ast
import csv
import doctest
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import SHARED
from support import environment

from scaling_callback import read_table

ROOT = Path(__file__).parents[1]
STUDIES, SHIPPED, PAGES = ROOT / "examples" / "studies", ROOT / "examples" / "data", ROOT / "docs" / "studies"

TABLES = sorted(SHIPPED.glob("*.csv"))
SOURCES = sorted(STUDIES.rglob("*.py"))
WRITTEN = sorted(path for path in PAGES.glob("*.md") if path.stem != "index")

FAMILY = "OLMo ladder"

QUICK = "Multi-power law, cosine"
"""Three sizes with curves: it goes through the whole study in seconds."""

DOCUMENTED = {
    module
    for page in (ROOT / "docs" / "api").glob("*.md")
    for module in re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8"))
} | {"scaling_callback"}
"""Public modules. Of one without `__all__` every name without an underscore is public."""

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports a module of the studies by the name that they use among themselves; no other test sees any of them."""
    monkeypatch.syspath_prepend(str(STUDIES))
    yield importlib.import_module
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(f"{STUDIES}/"):
            del sys.modules[name]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# what is shipped


def read_rows(text: str) -> Iterator[dict[str, str]]:
    """Every row of the tables of a page of Markdown, by the names of its columns."""
    head: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        if cells and head and not all(re.fullmatch("-+:?", cell) for cell in cells):
            yield dict(zip(head, cells, strict=True))
        head = head or cells if cells else []


def describe(table: Path) -> dict[str, str]:
    """What the README beside it says of a table."""
    rows = read_rows((SHIPPED / "README.md").read_text(encoding="utf-8"))
    (row,) = (row for row in rows if row["file"] == f"`{table.name}`")
    return row


@pytest.mark.parametrize("table", TABLES, ids=name)
def test_a_table_that_is_shipped_is_read_and_its_source_and_licence_are_named(table: Path, load: Load) -> None:
    said = describe(table)
    used = [family for family in load("families").FAMILIES if family.table == table.stem]

    assert used
    for family in used:
        assert len({run.params for run in read_table(table, where=family.where)}) >= 3, family.name
    assert said["licence stated there"].removesuffix(" (repository)") in ("MIT", "Apache-2.0")
    assert all(said.values())


@pytest.mark.parametrize("table", TABLES, ids=name)
def test_a_table_that_is_shipped_is_the_measured_one_whose_licence_allows_it(table: Path) -> None:
    if not (SHARED / "MANIFEST.csv").exists():
        pytest.skip("needs ../shared/data")
    with (SHARED / "MANIFEST.csv").open(newline="", encoding="utf-8") as file:
        (listed,) = (row for row in csv.DictReader(file) if row["name"] == table.stem)
    said = describe(table)

    assert table.read_bytes() == (SHARED / table.name).read_bytes()
    assert said["licence stated there"].replace("repository", "repo") == listed["licence"] != "none stated"
    assert said["path there"] == f"`{listed['path']}`"
    assert (said["source"], said["commit"]) == (listed["repo"], listed["commit"])
    assert int(listed["sizes"]) >= 3


def test_the_readme_of_the_tables_names_each_and_where_its_licence_stands() -> None:
    text = (SHIPPED / "README.md").read_text(encoding="utf-8")

    assert [row["file"].strip("`") for row in read_rows(text)] == [table.name for table in TABLES]
    for licence in (ROOT / "LICENSE", SHIPPED / "LICENSE-MIT"):
        assert f"`{licence.name}`" in text
        assert licence.is_file()


def test_a_fresh_clone_has_at_least_a_dozen_families(load: Load) -> None:
    shipped = {table.stem for table in TABLES}

    assert sum(family.table in shipped for family in load("families").FAMILIES) >= 12


# the public interface is enough


def list_private(tree: ast.Module) -> Iterator[str]:
    """Each thing in a module that a user of the library could not rely on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                if each.name.startswith("scaling_callback."):
                    yield f"line {node.lineno}: import {each.name}; import names from it"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "scaling_callback":
            for each in node.names:
                if not is_public(str(node.module), each.name):
                    yield f"line {node.lineno}: {node.module}.{each.name} is not public"
        elif isinstance(node, ast.Attribute) and re.match(r"_(?!_)", node.attr):
            yield f"line {node.lineno}: .{node.attr} is private"


def is_public(module: str, name: str) -> bool:
    """Whether a name of a module of the library is one that users may import."""
    public = getattr(importlib.import_module(module), "__all__", None)
    return module in DOCUMENTED and (not name.startswith("_") if public is None else name in public)


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_the_studies_use_nothing_private(source: Path) -> None:
    assert [*list_private(ast.parse(source.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    "line",
    [
        "from scaling_callback.fitting.solver import solve",
        "from scaling_callback.reporting.units import _known",
        "from scaling_callback.fitting import nothing",
        "import scaling_callback.laws",
        "law._start",
    ],
)
def test_what_is_private_is_noticed(line: str) -> None:
    assert len([*list_private(ast.parse(line))]) == 1


def test_the_examples_in_the_docstrings_of_the_studies_are_true(load: Load) -> None:
    tried = 0
    for source in SOURCES:
        parts = source.relative_to(STUDIES).with_suffix("").parts
        done = doctest.testmod(load(".".join(part for part in parts if part != "__init__")))
        assert not done.failed, name(source)
        tried += done.attempted
    assert tried > 0


# the pages


def find_family(text: str, ways: Any) -> dict[str, str]:
    """The row of the family in the main table: the one with an error of each way."""
    (row,) = (row for row in read_rows(text) if row.get("family") == FAMILY and {*ways} <= {*row})
    return row


def measure_family(load: Load) -> dict[str, str]:
    """That row, from a run in this process over what is shipped."""
    axis = load("axes.ways").WAYS_AXIS
    found = axis.measure(load("hitchhiker").read_case(FAMILY, (SHIPPED,)))
    parts = axis.tell({FAMILY: found}).parts
    return find_family("\n\n".join(part for part in parts if isinstance(part, str)), load("cases").WAYS)


def list_figures(page: Path) -> list[Path]:
    """The figures that a page shows."""
    return [page.parent / link for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("family", [QUICK, pytest.param(FAMILY, marks=pytest.mark.stress)], ids=str)
def test_the_study_of_one_family_is_a_whole_page_and_the_same_on_any_number_of_processes(
    family: str, tmp_path: Path
) -> None:
    made = [write_study(family, tmp_path / f"{workers}", workers) for workers in (1, 2)]
    page = made[0].read_text(encoding="utf-8")

    assert not re.search(r"\b(nan|inf|None)\b", page)
    assert {*list_figures(made[0])} == {*(tmp_path / "1" / "figures").iterdir()} != set()
    assert made[1].read_text(encoding="utf-8") == page
    for figure, again in zip(*map(list_figures, made), strict=True):
        assert again.read_bytes() == figure.read_bytes()


def write_study(family: str, folder: Path, workers: int) -> Path:
    """The page of that family, from a process that may use nothing but what is shipped."""
    options = ["--only", family, "--data", str(SHIPPED), "--output", str(folder), "--workers", str(workers)]
    command = [sys.executable, str(STUDIES / "hitchhiker.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110, env=environment())
    page = folder / "hitchhiker.md"
    assert (done.returncode, done.stdout) == (0, f"{page}\n"), done.stderr
    return page


def test_a_page_that_lacks_a_table_never_takes_the_place_of_the_whole_one(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = load("work")
    parser = argparse.ArgumentParser()
    work.add_options(parser)
    options = parser.parse_args(["--data", str(SHIPPED)])

    assert work.choose_folder(options, ["olmo_ladder"]) == PAGES
    assert work.choose_folder(options, ["olmo_ladder"], whole=False) != PAGES
    assert capsys.readouterr().err == ""
    assert work.choose_folder(options, ["olmo_ladder", "chinchilla_epoch"]) != PAGES
    assert "chinchilla_epoch.csv" in capsys.readouterr().err
    named = parser.parse_args(["--data", str(SHIPPED), "--output", str(tmp_path)])
    assert work.choose_folder(named, ["chinchilla_epoch"]) == tmp_path


def test_the_committed_pages_show_figures_that_are_there_and_no_other_is() -> None:
    if not WRITTEN:
        pytest.skip("needs pages in docs/studies: make studies")
    shown = {figure for page in WRITTEN for figure in list_figures(page)}
    assert shown == {*(PAGES / "figures").glob("*")}


def test_the_committed_page_says_of_a_family_what_a_run_over_it_says(load: Load) -> None:
    page = PAGES / "hitchhiker.md"
    if not page.exists():
        pytest.skip("needs docs/studies/hitchhiker.md: make studies")
    assert find_family(page.read_text(encoding="utf-8"), load("cases").WAYS) == measure_family(load)


# what a family lacks


def test_an_axis_of_which_nothing_was_measured_is_told_without_a_number_or_a_figure_that_cannot_be_drawn(
    load: Load,
) -> None:
    render = load("scaling_callback.reporting").render_svg
    for module, axis in (("borrowing", "BORROWING"), ("pruning", "PRUNING"), ("thirds", "THIRDS"), ("seeds", "SEEDS")):
        section = getattr(load(f"axes.{module}"), f"{axis}_AXIS").tell({})

        assert {finding.verdict for finding in section.findings} == {"no data"}, module
        drawn = [part if isinstance(part, str) else render(part, alone=True) for part in section.parts]
        assert not re.search(r"\b(nan|inf|None)\b", "".join(drawn)), module


def test_a_family_that_is_not_forecast_from_one_share_of_training_is_left_out_of_what_needs_both(load: Load) -> None:
    downwards = load("axes.downwards")
    errors = dict.fromkeys(downwards.COLUMNS, 0.01) | {downwards.name_share(0.4): None}

    findings = downwards.DOWNWARDS_AXIS.tell({FAMILY: errors}).findings

    assert [finding.verdict for finding in findings] == ["depends", "no data", "depends"]


@pytest.mark.parametrize("missing", ["every", "without one"])
def test_no_size_is_chosen_to_be_left_out_where_no_law_is_found(
    missing: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruning = load("axes.pruning")
    case = load("hitchhiker").read_case(FAMILY, (SHIPPED,))
    whole = len(pruning.gather_checkpoints(case.ladder))
    found = [] if missing == "every" else [whole]

    def miss(law: int, _: object) -> float | None:
        return 0.01 if law in found else None

    monkeypatch.setattr(pruning, "miss", miss)
    monkeypatch.setattr(pruning, "fit_published", len)

    assert pruning.measure(case) is None


def test_leave_one_out_is_the_worst_choice_only_if_both_rules_that_go_by_that_name_say_so(load: Load) -> None:
    pruning, tally = load("axes.pruning"), load("axes.tally")
    names = ["OLMo ladder", "Step law", "GPT-3, train", "GPT-3, validation", "(Mis)Fitting"]
    yes, no = (tally.Tally(dict.fromkeys(names, value)) for value in (True, False))

    def is_half(share: float) -> bool:
        return share >= 0.5

    def judge(*seen: Any) -> str:
        return pruning.judge_rules(dict(enumerate(seen)), is_half)

    assert (judge(yes, yes), judge(yes, no), judge(no, no)) == ("holds", "depends", "fails")
    assert judge(*[tally.Tally({FAMILY: True})] * 2) == "depends"
