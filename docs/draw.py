"""Draw the figures of the documentation into `docs/figures/`: `python docs/draw.py [NAME ...]`.

Each is computed by the library from data that are in the repository (the OLMo ladder of `tests/data`) or planted, with
fixed seeds. `tests/test_docs.py` draws them again and compares.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from scaling_callback import Config, Run, Target, allocate, fit, read_table, refresh, replay
from scaling_callback.allocating import Constraints
from scaling_callback.replaying import hold_out
from scaling_callback.reporting import checklist
from scaling_callback.reporting.figures.palette import INK, name_size, pick_colour
from scaling_callback.reporting.figures.series import trace_compute
from scaling_callback.reporting.rendering.canvas import STYLE, WIDTH
from scaling_callback.reporting.rendering.svg import finish_svg
from scaling_callback.testing import planted_ladder

HERE = Path(__file__).parent
OLMO = HERE.parent / "tests" / "data" / "olmo_ladder.csv"
MARKERS = "osD^v"


@contextmanager
def open_figure(name: str, height: float, folder: Path, rows: int = 1, columns: int = 1) -> Iterator[Any]:
    """The axes of a figure of this height in inches, written to `folder` when the block ends."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**STYLE, "svg.hashsalt": name})
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.subplots(rows, columns, squeeze=False)
        for each in axes.flat:
            each.patch.set_visible(False)
            each.minorticks_off()
        yield axes[0, 0] if rows * columns == 1 else axes.ravel()
        page = io.StringIO()
        figure.savefig(page, format="svg", metadata={"Date": None, "Creator": None})
    svg = finish_svg(page.getvalue(), name, "", alone=True)
    (folder / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")


def draw_ladder(folder: Path) -> None:
    """Curves and finals of a ladder, the fitted law, and the target far to the right of all of them."""
    snapshot = refresh(read_table(OLMO), config=Config(target=Target(params=7e9, tokens=4e12), splits=False))
    made, law = snapshot.forecast, trace_compute(snapshot)
    assert made is not None
    assert law is not None
    sizes = sorted({run.params for run in snapshot.runs})
    with open_figure("ladder", 3.7, folder) as axes:
        for rank, params in enumerate(sizes):
            own = [run for run in snapshot.runs if run.params == params]
            colour = pick_colour(name_size(rank, len(sizes)))
            for run in own:
                axes.plot(6 * params * run.curve.tokens, run.curve.loss, color=pick_colour("curve"), lw=0.8)
            x = [6 * params * run.final.tokens for run in own if run.final]
            y = [run.final.loss for run in own if run.final]
            axes.plot(x, y, MARKERS[rank], color=colour, ms=4.5, label=_count(params), zorder=4)
        seen = law.compute <= law.reach
        axes.plot(law.compute[seen], law.loss[seen], color=INK, lw=1.1, zorder=3)
        axes.plot(law.compute[~seen], law.loss[~seen], color=INK, lw=1.1, ls=(0, (4, 1.6)), zorder=3)
        end = 6 * made.params * made.tokens
        error = [[made.median - made.lower], [made.upper - made.median]]
        axes.errorbar([end], [made.median], error, fmt="*", color=pick_colour("target"), ms=10, lw=2, label="target")
        _axis(axes, "x", "compute 6 N D (FLOPs)", log=True)
        axes.set(ylabel="loss (nats per token)", ylim=(2.35, 4.1), xlim=(1e18, 4e23))
        _legend(axes, 6)


def draw_gap(folder: Path) -> None:
    """One size at several horizons: where a short run has ended, the long ones still lie above it."""
    runs = [run for run in read_table(OLMO) if _count(run.params) == "1.3B" and "rerun" not in run.name]
    runs.sort(key=lambda run: run.horizon or 0.0)
    with open_figure("gap", 3.5, folder) as axes:
        for rank, run in enumerate(runs):
            colour = pick_colour(name_size(rank, len(runs)))
            axes.plot(run.curve.tokens, run.curve.loss, ".-", color=colour, lw=1.2, ms=3)
            assert run.final is not None
            label = f"planned for {_count(run.horizon or 0.0)}"
            axes.plot(run.final.tokens, run.final.loss, MARKERS[rank], color=colour, ms=6.5, label=label, zorder=4)
        finals = np.array([(run.final.tokens, run.final.loss) for run in runs if run.final])
        axes.plot(finals[:, 0], finals[:, 1], color=INK, lw=0.9, ls=(0, (1.2, 1.4)), label="finished runs", zorder=1.5)
        _axis(axes, "x", "tokens", log=True, ticks=(1.0, 2.0, 5.0))
        axes.set(ylabel="loss (nats per token)", ylim=(2.78, 3.4), xlim=(1e10, 3.2e11))
        _legend(axes, 3)


def draw_record(folder: Path) -> None:
    """The forecast of a model while its ladder is trained; and what it would have said of each run before it ended."""
    runs = read_table(OLMO)
    ladder, goals = hold_out(runs, largest=1, split=None)
    goal = max(goals, key=lambda each: each.tokens)
    shares = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
    rows = [row for row in replay(ladder, [goal], shares, forecasters=()).rows if row.forecaster == "default"]
    record = refresh(ladder).record
    sizes = {run.name: run.params * (run.horizon or 0.0) for run in ladder}
    with open_figure("record", 5.2, folder, rows=2) as (narrowing, past):
        x = [row.fraction for row in rows]
        y = np.array([[row.median, row.lower, row.upper] for row in rows], dtype=float)
        narrowing.fill_between(x, y[:, 1], y[:, 2], color=pick_colour("target"), alpha=0.22, lw=0, label="90% interval")
        narrowing.plot(x, y[:, 0], "o-", color=pick_colour("target"), ms=4, lw=1.3, label="forecast")
        narrowing.axhline(goal.loss, color=INK, lw=0.9, ls=(0, (4, 1.6)), label="measured afterwards")
        narrowing.set(xlabel="share of the ladder's compute spent", ylabel="loss of the 3.2B model")
        narrowing.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        narrowing.grid(axis="y")
        narrowing.legend(ncols=3, loc="upper right")
        scores = sorted(record.scores, key=lambda score: sizes[score.run])
        for place, score in enumerate(scores):
            ends = [100 * (end / score.measured - 1) for end in (score.lower, score.upper)]
            past.plot([place, place], ends, color=pick_colour("final"), lw=1.5, alpha=0.55)
            past.plot(place, 100 * (score.median / score.measured - 1), "o", color=pick_colour("final"), ms=4)
        past.axhline(0, color=INK, lw=0.9)
        past.set(ylabel="forecast over measured, %", xlabel="runs of the ladder, by compute", xticks=[])
        past.set_ylim(-6, 6)
        past.grid(axis="y")


def draw_valley(folder: Path) -> None:
    """The loss of one budget against tokens per parameter, under the fit and each replicate, and their optima."""
    budget, runs, config = 1e21, read_table(OLMO), Config(constraints=Constraints(counting="6nd"))
    fitted, made = fit(runs, config), allocate(runs, budget, config)
    ratios = np.geomspace(1.5, 800, 90)
    params = np.sqrt(budget / (6 * ratios))
    law = fitted.predict(params, ratios * params)
    lowest = float(law.min())
    draws = 100 * (fitted.predict_draws(params, ratios * params) / lowest - 1)
    with open_figure("valley", 3.9, folder) as axes:
        for values in draws[:24]:
            axes.plot(ratios[::3], values[::3], color=pick_colour("curve"), lw=0.6, alpha=0.8)
        axes.plot(ratios, 100 * (law / lowest - 1), color=INK, lw=1.8, label="fitted law")
        x, y = ratios[draws.argmin(axis=1)], draws.min(axis=1)
        look = {"color": pick_colour("target"), "ms": 3.5, "alpha": 0.6, "mew": 0, "zorder": 3}
        axes.plot(x[:100], y[:100], "o", label="lowest of each replicate", **look)
        floor = -2.2
        valley = made.valleys[-1]
        ends = sorted(tokens / size for size, tokens in zip(valley.params, valley.tokens, strict=True))
        bars = {
            f"loss within {valley.excess:.0%} of the lowest": (ends, "final", floor),
            "90% interval of the optimum": (made.intervals["tokens_per_param"], "target", floor + 0.35),
        }
        for label, (span, role, height) in bars.items():
            axes.plot(span, [height] * 2, color=pick_colour(role), lw=5, solid_capstyle="butt", label=label)
        _axis(axes, "x", "tokens per parameter, at 1e21 FLOPs", log=True, ticks=(1.0, 2.0, 5.0))
        axes.set(ylabel="loss over the lowest, %", ylim=(floor - 0.4, 5.5), xlim=(1.5, 800))
        axes.grid(axis="y")
        _legend(axes, 2)


DESIGNS: tuple[tuple[str, Sequence[float], Sequence[float]], ...] = (
    ("one size", (1e8,), (2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)),
    ("one ratio", (1e7, 2e7, 3e7, 5e7, 1e8, 2e8, 3e8, 5e8), (20.0,)),
    ("a grid", (1e7, 3e7, 1e8, 3e8), (5.0, 20.0, 80.0)),
)
"""Three ladders of 8 to 12 runs, by their sizes and their tokens per parameter."""


def plant_design(sizes: Sequence[float], ratios: Sequence[float]) -> tuple[Run, ...]:
    """The planted ladder of a design."""
    return planted_ladder(sizes=sizes, ratios=ratios, seed=1)


def draw_designs(folder: Path) -> None:
    """Where the runs of three ladders lie, and what each ladder says of one budget."""
    with open_figure("designs", 2.9, folder, columns=3) as panels:
        for axes, (title, sizes, ratios) in zip(panels, DESIGNS, strict=True):
            runs = plant_design(sizes, ratios)
            made = allocate(runs, 1e20)
            axes.plot(
                [run.params for run in runs], [run.horizon for run in runs], "o", color=pick_colour("final"), ms=5
            )
            said = _refusal(made.reasons)
            if made.tokens_per_param:
                low, high = made.intervals["tokens_per_param"]
                said = f"{made.tokens_per_param:.0f} ({low:.0f} to {high:.0f})\ntokens per parameter"
            axes.set_title(title, fontsize=10)
            axes.text(0.5, -0.42, said, transform=axes.transAxes, ha="center", va="top", fontsize=8.6)
            _axis(axes, "x", "N", log=True)
            _axis(axes, "y", "D" if title == DESIGNS[0][0] else "", log=True)
            axes.set(xlim=(4e6, 1e9), ylim=(3e7, 1e11))
            axes.set_xticks([1e7, 1e9 / 10], ["10M", "100M"])
            axes.set_yticks([1e8, 1e9, 1e10, 1e11], ["100M", "1B", "10B", "100B"])


def _refusal(reasons: Sequence[str] | Any) -> str:
    return "refused:\n" + "\n".join(list(reasons)[:3])


def draw_checklist(folder: Path) -> None:
    """The 26 items of the checklist by group, and who answers each."""
    items = checklist(refresh(read_table(OLMO), config=Config(target=Target(params=7e9, tokens=4e12))))
    looks = {
        "answered": ("final", "filled by the tool"),
        "asked": ("held", "asked of you"),
        "unanswered": ("out", "not in these data"),
    }
    groups = list(dict.fromkeys(item.group for item in items))
    with open_figure("checklist", 2.5, folder) as axes:
        for item in items:
            row = groups.index(item.group)
            column = sum(other.group == item.group and other.number < item.number for other in items)
            colour = pick_colour(looks[item.status][0])
            hollow = item.status != "answered"
            axes.plot(column, -row, "s", ms=19, mec=colour, mfc="none" if hollow else colour, mew=1.6)
            ink = INK if hollow else "#ffffff"
            axes.text(column, -row, str(item.number), ha="center", va="center", fontsize=9.6, color=ink)
        for status, (role, words) in looks.items():
            number = sum(item.status == status for item in items)
            fill = pick_colour(role) if status == "answered" else "none"
            if number:
                axes.plot([], [], "s", ms=8, mec=pick_colour(role), mfc=fill, mew=1.6, label=f"{words}: {number}")
        axes.set(xlim=(-0.7, 8.7), ylim=(-len(groups) + 0.4, 0.6), xticks=[])
        axes.set_yticks([-row for row in range(len(groups))], groups)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        _legend(axes, 3)


def _axis(axes: Any, which: str, label: str, *, log: bool = False, ticks: Sequence[float] = (1.0,)) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    if log:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        axis.set_major_locator(LogLocator(subs=ticks, numticks=12))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: _power(value))
    axis.set_label_text(label)


def _power(value: float) -> str:
    return _count(value) if value < 1e13 else f"1e{round(np.log10(value))}"


def _count(value: float) -> str:
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= unit:
            return f"{value / unit:.3g}{letter}" if value / unit >= 10 else f"{value / unit:.2g}{letter}"
    return f"{value:g}"


def _legend(axes: Any, columns: int) -> None:
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=columns)


FIGURES: dict[str, Callable[[Path], None]] = {
    "ladder": draw_ladder,
    "gap": draw_gap,
    "record": draw_record,
    "valley": draw_valley,
    "designs": draw_designs,
    "checklist": draw_checklist,
}
"""Every figure, by the name of its file."""


def main() -> None:
    """Draw those that are named, or all."""
    folder = HERE / "figures"
    folder.mkdir(exist_ok=True)
    for name in sys.argv[1:] or FIGURES:
        FIGURES[name](folder)
        print(f"{name}: {(folder / f'{name}.svg').stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
