"""The snippets of the documentation: read from the pages, run, and compared with what the pages show.

A page is run from top to bottom in one empty folder and, for Python, in one namespace.

- `python`: run; a `text` block right after it is what it prints.
- `pycon`: a session with `>>>`, compared as a doctest.
- `sh`: `scaling-callback` lines, run in this process.
- `console`: the same behind `$ `, with what each prints below it.
- `yaml`, `json`: read.

In what a page shows, `...` stands for anything. What a snippet needs beside the page is prepared by a comment that
readers do not see, `<!-- given: NAME -->`, with a name of `GIVEN`. `python tests/support_docs.py PAGE ...` writes what
is printed now into pages that show something else.
"""

from __future__ import annotations

import contextlib
import doctest
import functools
import io
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from scaling_callback import Ladder
from scaling_callback.cli import main
from scaling_callback.records import Run
from scaling_callback.refitting.budget import RefitBudget
from scaling_callback.sinks.folder import Folder
from scaling_callback.tables import write_table
from scaling_callback.testing import TRUTH, planted_isoflop, planted_ladder

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PROGRAM = "scaling-callback"


@dataclass(frozen=True)
class Shown:
    """What a page shows for a snippet, and what it printed.

    Attributes:
        line: Line of the page, from 1, at which what is shown begins.
        length: How many lines it takes.
        wanted: What the page shows.
        got: What was printed.
        what: The snippet.
    """

    line: int
    length: int
    wanted: str
    got: str
    what: str

    @property
    def same(self) -> bool:
        """Whether the page shows what was printed; what a page leaves out at an end of a line is no difference."""
        return doctest.OutputChecker().check_output(self.wanted.strip() + "\n", self.got.strip() + "\n", FLAGS)


class SnippetError(AssertionError):
    """A snippet of the documentation does not run."""


def run_page(page: Path, folder: Path, skipped: dict[str, str]) -> list[Shown]:
    """Run every snippet of a page in `folder`; blocks whose exact text is in `skipped` are not run.

    Raises:
        SnippetError: A snippet fails, a block is of a kind that nobody runs, or a comment asks for what is not there.
    """
    shown: list[Shown] = []
    names: dict[str, Any] = {"__name__": "__page__"}
    tokens = [token for token in walk(page) if token.type in ("fence", "html_block")]
    with (
        contextlib.chdir(folder),
        mock.patch.object(RefitBudget, "allows", _has_not_begun),
        # the figures of a training's logger, which no page opens; those of reports are drawn
        mock.patch.object(Folder, "draw"),
    ):
        for place, token in enumerate(tokens):
            given = re.match(r"<!-- given: ([\w-]+) -->", token.content)
            try:
                if given:
                    GIVEN[given[1]](names)
                elif token.type == "fence" and token.content not in skipped:
                    after = tokens[place + 1] if place + 1 < len(tokens) else None
                    shown += run_block(token, after, names)
            except Exception as error:
                where = f"{page.name}, line {line_of(token)}"
                raise SnippetError(f"{where}: {error}\n{traceback.format_exc()}") from error
    return shown


def _has_not_begun(budget: RefitBudget) -> bool:
    """A training refits at its start and end, as one of seconds would in a long run; between is nothing new to see."""
    return not budget._spent


def walk(page: Path) -> list[Token]:
    """The blocks of a page, those inside of lists and quotes too."""
    return MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))


def line_of(token: Token) -> int:
    """The line of the page at which a block begins, from 1."""
    assert token.map is not None
    return token.map[0] + 1


def run_block(token: Token, after: Token | None, names: dict[str, Any]) -> list[Shown]:
    """Run one block, by its language."""
    language = token.info.strip().split(" ")[0]
    if language.startswith("{") or language == "text":
        return []  # a directive of the site; or the output of the block before
    if language not in RUNNERS:
        raise SnippetError(
            f"a block of {language or 'no language'!r} is run by nobody; choose of: {', '.join(RUNNERS)}"
        )
    return RUNNERS[language](token, after, names)


def run_python(token: Token, after: Token | None, names: dict[str, Any]) -> list[Shown]:
    """Run a script; what it prints belongs into the `text` block that follows at once."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        # `dont_inherit`: this file's own __future__ is none of a snippet's business
        exec(compile(token.content, "snippet", "exec", dont_inherit=True), names)
    assert token.map is not None
    if after is None or after.info.strip() != "text" or after.map is None or after.map[0] - token.map[1] > 1:
        if printed.getvalue():
            raise SnippetError("it prints, and no `text` block right after it shows what")
        return []
    wanted = after.content
    return [Shown(line_of(after) + 1, wanted.count("\n"), wanted, printed.getvalue(), token.content)]


def run_session(token: Token, _after: Token | None, names: dict[str, Any]) -> list[Shown]:
    """Run a session with `>>>`, whose output stands below each statement."""
    shown: list[Shown] = []
    for example in doctest.DocTestParser().get_examples(token.content):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(example.source, "snippet", "single", dont_inherit=True), names)
        line = line_of(token) + 1 + example.lineno + example.source.count("\n")
        shown.append(Shown(line, example.want.count("\n"), example.want, printed.getvalue(), example.source))
    return shown


def run_lines(token: Token, _after: Token | None, _names: dict[str, Any]) -> list[Shown]:
    """Run commands, whatever they print."""
    for command in token.content.replace("\\\n", " ").splitlines():
        if command.strip():
            run_command(command)
    return []


def run_console(token: Token, _after: Token | None, _names: dict[str, Any]) -> list[Shown]:
    """Run commands behind `$ `, and compare what each prints."""
    shown: list[Shown] = []
    lines = token.content.splitlines()
    starts = [place for place, text in enumerate(lines) if text.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        wanted = "\n".join(lines[start + 1 : end])
        printed = run_command(lines[start].removeprefix("$ "))
        shown.append(Shown(line_of(token) + start + 2, end - start - 1, wanted, printed, lines[start]))
    return shown


def run_command(command: str) -> str:
    """What a line of the command line prints."""
    words = shlex.split(command, comments=True)
    if words[0] != PROGRAM:
        raise SnippetError(
            f"{command!r} is run by nobody: list its block among those that are not run, with the reason"
        )
    # worker processes would import everything anew, which takes longer than the work
    alone = ["--workers", "1"] if words[1] == "replay" else []
    printed, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        status = main([*words[1:], *alone])
    if status:
        raise SnippetError(f"{command!r} ends with status {status}: {said.getvalue()}")
    return printed.getvalue()


def read_data(token: Token, _after: Token | None, _names: dict[str, Any]) -> list[Shown]:
    """Read what is shown of a file."""
    (json.loads if token.info.strip() == "json" else yaml.safe_load)(token.content)
    return []


RUNNERS: dict[str, Callable[[Token, Token | None, dict[str, Any]], list[Shown]]] = {
    "python": run_python,
    "pycon": run_session,
    "sh": run_lines,
    "console": run_console,
    "yaml": read_data,
    "json": read_data,
}
"""What runs a block, by its language."""


def give_olmo(_names: dict[str, Any]) -> None:
    """`olmo_ladder.csv`, which stands in `tests/data`."""
    shutil.copy(ROOT / "tests" / "data" / "olmo_ladder.csv", "olmo_ladder.csv")


def give_ladders(_names: dict[str, Any]) -> None:
    """A planted ladder as a folder and a table, and a second one that is slightly better at every size."""
    plant("ladder")
    plant("ladder-a", seed=1)
    plant("ladder-b", seed=2, truth={**TRUTH, "E": 1.75})
    write_table(planted_ladder(), "ladder.csv")


def give_sweep(_names: dict[str, Any]) -> None:
    """`sweep.csv`: each size and horizon at four learning rates, of which the third is the best."""
    runs: list[Run] = []
    for place, rate in enumerate((3e-4, 1e-3, 3e-3, 1e-2)):
        truth = {**TRUTH, "E": TRUTH["E"] + 0.1 * abs(place - 2)}
        trained = planted_ladder(ratios=(5.0, 40.0), points=12, seed=place, truth=truth)
        cards = [replace(run.card, name=f"{run.name}-lr{rate:g}", peak_lr=rate) for run in trained]
        runs += [replace(run, card=card) for run, card in zip(trained, cards, strict=True)]
    write_table(runs, "sweep.csv")


def give_isoflop(_names: dict[str, Any]) -> None:
    """`isoflop.csv`: finished runs along lines of equal compute."""
    write_table(planted_isoflop(), "isoflop.csv")


def give_metrics(_names: dict[str, Any]) -> None:
    """One training as a table with names of its own, `metrics.csv`, and as event files in `logs/`."""
    from torch.utils.tensorboard import SummaryWriter

    (run,) = planted_ladder(sizes=(1.24e8,), ratios=(20.0,), points=8)
    with SummaryWriter("logs/gpt-124m") as writer, Path("metrics.csv").open("w", encoding="utf-8") as file:
        file.write("step,seen,val/loss\n")
        for step, seen in enumerate(run.curve, start=1):
            file.write(f"{100 * step},{seen.tokens:.0f},{seen.loss:.4f}\n")
            writer.add_scalar("val_loss", seen.loss, 100 * step)
            writer.add_scalar("seen", seen.tokens, 100 * step)


def plant(folder: str, **options: Any) -> None:
    """Write a planted ladder into a folder."""
    for run in planted_ladder(ratios=(5.0, 40.0), points=6, **options):
        writer = Ladder(folder).start(run.card)
        writer.observe(list(run.curve))
        writer.finish()


def give_lightning(names: dict[str, Any]) -> None:
    """`Trainer` and `WandbLogger`, and a W&B that needs no account."""
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import WandbLogger

    os.environ["WANDB_MODE"] = "offline"
    names |= {"Trainer": Trainer, "WandbLogger": WandbLogger}


def give_training(names: dict[str, Any]) -> None:
    """`Model`, `training`, `held_out` and a quiet `Trainer`: trainings of a few steps of 64 tokens."""
    import lightning.pytorch as pl
    import torch
    from support_training import Bytes, Tiny
    from torch.utils.data import DataLoader

    class Model(Tiny):
        def __init__(self, width: int, rate: float, schedule: str = "linear") -> None:
            super().__init__(width)
            self.rate, self.schedule = rate, schedule

        def validation_step(self, batch: Any) -> None:
            loss = self.step(batch)
            self.log_dict({"val_loss": loss, "val_code": loss * 0.9})

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=self.rate)
            if self.schedule == "constant":
                return optimizer
            # a branch starts its own schedule at the checkpoint, and lasts twelve steps
            steps = 12 if self.schedule == "cooldown" else self.trainer.max_steps
            rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}

    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    names |= {
        "Model": Model,
        "training": DataLoader(Bytes(512), batch_size=8),
        "held_out": DataLoader(Bytes(8), batch_size=8),
        "Trainer": functools.partial(pl.Trainer, check_val_every_n_epoch=None, enable_checkpointing=None, **quiet),
    }


def give_loop(names: dict[str, Any]) -> None:
    """What a training loop of one's own has in hand: model, batches, a rate, a validation and a logger."""
    from torch import nn

    from scaling_callback.testing import RecordingSink

    losses = iter(range(10))
    names |= {
        "model": nn.Linear(4, 4),
        "batches": range(300),
        "rate": 1e-3,
        "validate": lambda: 4.0 - 0.1 * next(losses),
        "wandb_run": RecordingSink(),
    }


GIVEN: dict[str, Callable[[dict[str, Any]], None]] = {
    "olmo": give_olmo,
    "ladders": give_ladders,
    "sweep": give_sweep,
    "isoflop": give_isoflop,
    "metrics": give_metrics,
    "lightning": give_lightning,
    "training": give_training,
    "loop": give_loop,
}
"""What a page may ask for with `<!-- given: NAME -->`; each prepares files in the folder, or names."""


def write_outputs(page: Path, shown: list[Shown]) -> None:
    """Put what was printed where the page shows something else, from its end upwards so that line numbers hold."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for each in sorted(shown, key=lambda each: -each.line):
        if not each.same:
            printed = [text.rstrip() for text in each.got.rstrip("\n").splitlines()]
            lines[each.line - 1 : each.line - 1 + each.length] = printed
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextlib.contextmanager
def quiet_environment() -> Iterator[None]:
    """An environment that is as it was afterwards."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    for given_page in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch, quiet_environment():
            from test_docs import NOT_RUN

            write_outputs(Path(given_page), run_page(Path(given_page).resolve(), Path(scratch), NOT_RUN))
