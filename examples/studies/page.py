"""A page of a study: Markdown with tables and figures, in which every number was computed by the run that wrote it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from scaling_callback.reporting import Figure, render_svg

Verdict: TypeAlias = Literal["holds", "fails", "depends", "no data"]

Part: TypeAlias = "str | Figure"
"""A paragraph, heading or table of Markdown, or a figure."""


@dataclass(frozen=True)
class Finding:
    """What became of something that a study found.

    Attributes:
        claim: What was found, in one sentence, with the published number.
        verdict: Whether it holds on the data at hand.
        number: The number that says so, with what it is of.
        rule: From which number on it would be said to hold.
        recommendation: The recommendation of the library that rests on it, by name; empty where none does.
        of: Whose claim it is: the study's, this library's, or one made beside to make sense of another.
        looked: Whether the rule was set, or changed, when numbers of these data had been seen: such a verdict
            describes them, and tests nothing.
    """

    claim: str
    verdict: Verdict
    number: str
    rule: str
    recommendation: str = ""
    of: Literal["study", "library", "beside"] = "study"
    looked: bool = False


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Attributes:
        title: Its heading.
        parts: What it says.
        findings: What it judges.
        families: Its tables of every family, which have a page of their own.
        summary: What stands at the top of the page; empty where nothing does.
    """

    title: str
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...] = ()
    families: tuple[Part, ...] = ()
    summary: str = ""


def judge(share: float, *, holds: float = 0.8, fails: float = 0.2) -> Verdict:
    """The verdict on a share of cases in which a finding was seen.

    Example:
        >>> judge(0.9), judge(0.5), judge(0.1), judge(math.nan)
        ('holds', 'depends', 'fails', 'no data')
    """
    if math.isnan(share):
        return "no data"
    return "holds" if share >= holds else "fails" if share <= fails else "depends"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1, tail: int = 0) -> str:
    """A table whose first `text` and last `tail` columns are words, and all others numbers."""
    align = ["---:" if text <= place < len(head) - tail else "---" for place in range(len(head))]
    safe = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (safe[0], align, *safe[1:]))


LOOKED = "after a first look"

ON_RULES = (
    "A verdict follows from its rule, which is code: a share of 80% holds, one of 20% fails, where nothing else is "
    f"said. A rule that is marked *{LOOKED}* was set, or changed, when numbers of these very data had been seen: its "
    "verdict describes them, and tests nothing."
)
"""What stands above findings."""


def show_findings(findings: Sequence[Finding]) -> str:
    """A table of findings."""
    rows = [(f.claim, f"**{f.verdict}**", f.number, f.rule + f" (*{LOOKED}*)" * f.looked) for f in findings]
    return table(("The study found", "here it", "the number", "said to hold if"), rows, text=4)


def write_page(name: str, title: str, parts: Sequence[Part], folder: Path) -> Path:
    """The page `folder/NAME.md`, with its figures in `folder/figures/`."""
    figures = {
        f"{name}-{part.name}.svg": render_svg(part, alone=True) + "\n" for part in parts if not isinstance(part, str)
    }
    lines = [f"# {title}", *(part if isinstance(part, str) else _show(name, part) for part in parts if part)]
    # everything is there before anything of the old page goes
    drawn = folder / "figures"
    drawn.mkdir(parents=True, exist_ok=True)
    for old in drawn.glob(f"{name}-*.svg"):
        if old.name not in figures:
            old.unlink()
    for file, svg in figures.items():
        (drawn / file).write_text(svg, encoding="utf-8")
    path = folder / f"{name}.md"
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return path


def _show(name: str, figure: Figure) -> str:
    end = "" if figure.title.endswith("?") else "."
    return f"![{figure.alt}](figures/{name}-{figure.name}.svg)\n\n*{figure.title}{end} {figure.caption}*"
