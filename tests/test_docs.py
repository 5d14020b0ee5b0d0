"""The documentation is true: snippets print what it shows, figures are what the library draws, the site builds."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from support import environment
from support_docs import PAGES, ROOT, SnippetError, run_page, walk

import scaling_callback
from scaling_callback.commands import COMMANDS
from scaling_callback.reporting.figures.palette import PALETTE
from scaling_callback.stopping import RULES

DOCS = ROOT / "docs"

NOT_RUN: dict[str, str] = {
    (
        "make demo    # makes the environment, trains a real ladder, forecasts a larger model, trains that too, "
        "compares\n"
        "make test    # makes the environment, runs every test\n"
    ): "it makes an environment and trains for minutes; tests/test_demo.py and tests/test_makefile.py run its parts",
    (
        "make studies\n"
        'python examples/studies/hitchhiker.py --only "OLMo ladder" --output runs/mine\n'
        "python examples/studies/misfitting.py --data my/tables --output runs/mine\n"
    ): "it reads real tables for minutes; tests/test_studies.py runs one family",
    'pip install ".[all]"    # in a clone of the repository\n': "it needs a network; tests/test_makefile.py installs",
    (
        "scaling-callback import-wandb my-team/ladder --tokens-per-step config.batch_tokens --output ladder/\n"
        'scaling-callback import-wandb my-team/ladder --filter state=finished --only "gpt-*" --output ladder/\n'
    ): "it asks W&B; tests/test_importing_wandb.py asks a stand-in of the service on this machine",
    (
        "from ray import tune\n"
        "\n"
        "from scaling_callback.integrations.ray import ScalingScheduler\n"
        "\n"
        'scheduler = ScalingScheduler(Sweep(params="size", steps="steps"), [Dominated()], step="step", action="stop")\n'
        "tuner = tune.Tuner(\n"
        '    train,  # calls tune.report({"val_loss": loss, "step": step})\n'
        '    param_space={"lr": tune.grid_search([1e-3, 3e-3, 1e-2]), "size": 1.2e8, "steps": 20_000},\n'
        '    tune_config=tune.TuneConfig(metric="val_loss", mode="min", scheduler=scheduler),\n'
        ")\n"
        "results = tuner.fit()\n"
        "scheduler.calls  # why each trial was stopped, by its id\n"
    ): "it starts a cluster; make stress runs examples/ray_sweep.py",
    (
        "def train_one():\n"
        "    with wandb.init() as run:\n"
        '        callback = ScalingCallback(target, "s3://bucket/lad'
        'der", run=run.id, rules=[Dominated()], action="stop")\n'
        "        trainer = Trainer(logger=WandbLogger(experiment=run), callbacks=[callback])\n"
        "        trainer.fit(Model(**run.config), training, held_out)\n"
        "\n"
        "\n"
        "wandb.agent(wandb.sweep(SWEEP), train_one)\n"
    ): "it asks W&B; make stress runs examples/wandb_sweep.py without an account",
}
"""Blocks that cannot be run here, by their exact text, each with the reason."""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")  # while wandb-workspaces is imported
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")  # a branch keeps no checkpoints
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_snippet_of_a_page_runs_and_prints_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for shown in run_page(page, tmp_path, NOT_RUN):
        assert shown.same, (
            f"{name(page)}, line {shown.line}: {shown.what}\nprints\n{shown.got}\nand the page shows\n{shown.wanted}\n"
            f"If what is printed is right: python tests/support_docs.py {name(page)}"
        )


def test_blocks_that_are_not_run_are_those_that_are_listed() -> None:
    texts = {token.content for page in PAGES for token in walk(page) if token.type == "fence"}
    assert {*NOT_RUN} <= texts


@pytest.mark.parametrize(
    "block",
    ["```sh\nrm -rf build\n```", "```\nx = 1\n```", "```python\nprint(1)\n```", "```python\nnone\n```"],
    ids=str,
)
def test_a_block_that_nobody_runs_or_that_fails_is_an_error(tmp_path: Path, block: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(block, encoding="utf-8")
    with pytest.raises((SnippetError, ValueError)):
        run_page(page, tmp_path, NOT_RUN)


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 5
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_table_of_settings_has_each_with_its_default_and_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("docutils")
    monkeypatch.syspath_prepend(str(DOCS))
    lines = [*importlib.import_module("directives").write_settings()]
    for kind in RULES.values():
        for each in fields(kind):
            (line,) = (text for text in lines if text.startswith(f"| `{kind.__name__}` | `{each.name}` | "))
            default, words = line.split(" | ")[2:]
            assert default == ("" if each.default is None else f"{each.default:g}")
            assert len(words) > 10 or each.name in ("min_progress", "patience")


# figures


@cache
def draw() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw", DOCS / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("figure", ["ladder", "gap", "record", "valley", "designs", "checklist"])
def test_a_figure_is_what_the_library_draws_now(figure: str, tmp_path: Path) -> None:
    draw().FIGURES[figure](tmp_path)
    kept, made = ((folder / f"{figure}.svg").read_text(encoding="utf-8") for folder in (DOCS / "figures", tmp_path))
    assert len(kept) < 60_000
    numbers = r"-?\d+\.\d+"
    advice = "python docs/draw.py draws it anew"
    assert re.sub(numbers, "#", kept) == re.sub(numbers, "#", made), advice
    # coordinates in units of 1/72 inch: another processor may round the last digits of a fit in another way
    there, here = ([float(value) for value in re.findall(numbers, text)] for text in (kept, made))
    assert here == pytest.approx(there, abs=0.5), advice


def test_every_figure_stands_in_a_page() -> None:
    used = {found for page in PAGES for found in re.findall(r"figures/(\w+)\.svg", page.read_text(encoding="utf-8"))}
    assert used == {*draw().FIGURES} == {path.stem for path in (DOCS / "figures").glob("*.svg")}


def test_every_colour_of_a_figure_is_named_where_figures_are_described() -> None:
    text = (DOCS / "api" / "showing.md").read_text(encoding="utf-8")
    sizes = [role for role in PALETTE if role.startswith("size-")]
    assert f"`{sizes[0]}` to `{sizes[-1]}`" in text
    for role in {*PALETTE, "ink"} - {*sizes}:
        assert f"`{role}`" in text


def test_a_page_in_a_folder_shows_the_figures_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("docutils")
    from docutils import nodes
    from docutils.utils import new_document

    monkeypatch.syspath_prepend(str(DOCS))
    (tmp_path / "studies" / "figures").mkdir(parents=True)
    (tmp_path / "studies" / "figures" / "one.svg").write_text('<svg viewBox="0 0 1 1"><g/></svg>', encoding="utf-8")
    document = new_document(str(tmp_path / "studies" / "page.md"))
    document += nodes.image(uri="figures/one.svg", alt="what it shows")

    importlib.import_module("directives").inline_figures(None, document)

    (shown,) = document.findall(nodes.raw)
    assert 'aria-label="what it shows"' in shown.astext()


# the site


class Page(HTMLParser):
    """Links and anchors of a page, and what a browser fetches for it without being asked."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key == "id" and value:
                self.anchors.add(value)
            elif key == "href" and value and tag == "a":
                self.links.append(value)
            elif key in ("src", "href", "srcset", "data", "poster") and value and tag != "use":
                self.fetched.append(value)


# one test and one build of ten seconds: workers that share tests out would each build it again
def test_the_site_builds_without_a_warning_leads_nowhere_wrong_and_asks_for_nothing_elsewhere(tmp_path: Path) -> None:
    for needed in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(needed, reason="the site needs: pip install 'scaling-callback[docs]'")
    build_site(tmp_path)
    pages = {path.resolve(): Page(path) for path in sorted(tmp_path.rglob("*.html"))}
    for path, page in pages.items():
        check_fetches(path, page)
        check_links(path, pages)
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet.name
    check_contents(tmp_path, pages)


def build_site(folder: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html", str(DOCS), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]


def check_fetches(path: Path, page: Page) -> None:
    """What a browser fetches for a page is part of the site, and there."""
    for link in page.fetched:
        assert not re.match(r"(https?:)?//", link), f"{path.name} fetches {link}"
        if not link.startswith(("#", "data:")):
            assert (path.parent / link.split("?")[0].split("#")[0]).exists(), f"{path.name}: {link}"


def check_links(path: Path, pages: Mapping[Path, Page]) -> None:
    """Links within the site lead to a page and a heading that are there."""
    for link in pages[path].links:
        if re.match(r"https?://|mailto:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{path.name}: {link}"
        assert not anchor or target not in pages or anchor in pages[target].anchors, f"{path.name}: {link}"


def check_contents(site: Path, pages: Mapping[Path, Page]) -> None:
    """Every public name and every command is described; figures stand in the page, and have words."""
    anchors = {anchor for path, page in pages.items() if path.parent.name == "api" for anchor in page.anchors}
    assert {f"scaling_callback.{public}" for public in scaling_callback.__all__} <= anchors
    assert {*COMMANDS} <= pages[(site / "commands.html").resolve()].anchors
    drawn = re.findall(
        r'<svg viewBox="[^"]*" role="img" aria-label="([^"]*)"', (site / "ideas.html").read_text("utf-8")
    )
    assert len(drawn) == len(draw().FIGURES)
    assert all(len(words) > 40 for words in drawn)
