"""A workspace of W&B in which a ladder is seen at a glance: native panels, and the figures of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from scaling_callback.errors import InputError, MissingDependency
from scaling_callback.ladder.files import tidy_location
from scaling_callback.reporting.scalars import PREFIX, TOKENS
from scaling_callback.sinks.base import rename
from scaling_callback.sinks.wandb import FIGURES, TABLE

NAME = "Scaling laws"

MOST_RUNS = 100
"""Runs that a panel draws; W&B's own limit is ten, less than a ladder has."""

LINES: dict[str, tuple[tuple[str, tuple[str, ...], str], ...]] = {
    "Forecast": (
        ("Forecast loss of the target", ("target_loss", "target_loss_lower", "target_loss_upper"), "loss"),
        ("Forecast final loss of this run", ("run_final_loss", "run_final_loss_lower", "run_final_loss_upper"), "loss"),
        ("What earlier forecasts missed by", ("track_record_are",), "mean relative error"),
    ),
    "Law": (
        ("Irreducible loss E", ("E",), "loss"),
        ("Exponents", ("alpha", "beta"), "exponent"),
        ("Evidence: runs", ("runs",), "runs"),
        ("Evidence: observations", ("observations",), "observations"),
    ),
    "Allocation": (
        ("Optimal parameters", ("optimal_params",), "parameters"),
        ("Optimal tokens", ("optimal_tokens",), "tokens"),
        ("Optimal tokens per parameter", ("tokens_per_param",), "tokens per parameter"),
    ),
    "Cost": (
        ("Seconds of a refit", ("refit_seconds",), "s"),
        ("FLOPs of this run", ("run_flops",), "FLOPs"),
        ("Device hours of this run", ("device_hours",), "h"),
        ("FLOPs that a stopping rule saves", ("stop_saved_flops",), "FLOPs"),
    ),
}
"""Sections of line plots against tokens: title, metrics and the unit on the axis of each."""

LOG_AXES = ("optimal_params", "optimal_tokens", "tokens_per_param", "run_flops", "stop_saved_flops")
"""Metrics that go through powers of ten."""

DRAWN = {
    "forecast": "The forecast as the ladder grew",
    "compute": "Loss against compute",
    "tokens": "Loss against tokens, by size",
    "isoflop": "IsoFLOP curves and their valley",
    "parameters": "The law as the ladder grew",
    "record": "Forecasts against what was then measured",
    "residuals": "What the law leaves over",
}
"""The figures, by name, and the titles of their panels."""

COLUMNS = ("card.params", "card.horizon", "card.held_out")
"""Of the configuration, what the list of runs shows beside each."""


def build_workspace(project: str, entity: str = "", *, prefix: str = PREFIX, ladder: str | None = None) -> Any:
    """A `wandb_workspaces.workspaces.Workspace` that is not saved yet; needs no login.

    Runs stand by themselves, not in groups: W&B would draw the mean of a group, and a mean of models of several
    sizes says nothing.

    Args:
        project: The project that the runs are in.
        entity: The user or team that it belongs to; may be empty as long as it is not saved.
        prefix: What the names of metrics begin with.
        ladder: Shows the runs of this ladder alone, given as the callback was given it; else all of the project.

    Raises:
        MissingDependency: wandb-workspaces is not installed.
        InputError: `ladder` is no folder or URL.
    """
    ws, expr = _import("wandb_workspaces.workspaces"), _import("wandb_workspaces.expr")
    sections = [_lines(title, prefix) for title in ("Forecast", "Law", "Allocation")]
    sections += [_figures(prefix), _ladder(prefix), _lines("Cost", prefix)]
    record = f"{prefix}.value"  # so W&B's own views name what lies inside an entry of the config
    shown = [f"config:{record}.{name}" for name in COLUMNS]
    shown += [f"summary:{prefix}/{name}" for name in ("run_final_loss", "target_loss", "device_hours")]
    # as text: filters built by the library lose quotes and backslashes of the value
    chosen = "" if ladder is None else f"Config({record + '.ladder'!r}) = {tidy_location(ladder)!r}"
    return ws.Workspace(
        entity=entity,
        project=project,
        name=NAME if prefix == PREFIX else f"{NAME} ({prefix})",
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=rename(TOKENS, prefix), max_runs=MOST_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=chosen,
            order=[expr.Ordering(expr.Config(f"{record}.card.params"), ascending=True)],
            pinned_columns=["run:displayName", *shown],
        ),
    )


def describe_workspace(workspace: Any) -> dict[str, Any]:
    """What `dashboard --json` prints: the view as it would be sent."""
    view = workspace._model  # noqa: SLF001 - the library serialises in no other way without a server
    return {
        "entity": view.entity or None,
        "project": view.project,
        "name": view.display_name,
        "spec": view.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def save_workspace(workspace: Any) -> str:
    """Save it to the service that W&B is logged in to; gives its address.

    Raises:
        InputError: There are no credentials, the service cannot be reached, or it does not know the project.
    """
    wandb = _import("wandb")
    no_login = "W&B knows no credentials; run `wandb login`, set WANDB_API_KEY, or print the workspace with --json"
    try:
        if not wandb.login(prompt=False, verify=False):
            raise InputError(no_login)
        workspace.entity = workspace.entity or wandb.Api().default_entity or ""
        return str(workspace.save().url)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - the client raises what it likes
        raise InputError(
            f"the workspace of project {workspace.project!r} was not saved ({type(error).__name__}: {error}); check "
            "the project's name, your login, and that the service can be reached"
        ) from None


def _lines(section: str, prefix: str) -> Any:
    panels = [
        _line(title, prefix, names, unit, log_y=names[0] in LOG_AXES, column=place % 3)
        for place, (title, names, unit) in enumerate(LINES[section])
    ]
    return _section(section, panels)


def _figures(prefix: str) -> Any:
    """The last of each figure, of each run that is shown."""
    wr = _import("wandb_workspaces.reports.v2")
    panels = [
        wr.MediaBrowser(title=title, media_keys=[rename(FIGURES + name, prefix)], num_columns=1)
        for name, title in DRAWN.items()
    ]
    return _section("Figures", panels, columns=2)


def _ladder(prefix: str) -> Any:
    wr = _import("wandb_workspaces.reports.v2")
    loss = ("loss",)
    panels = [
        _line("Loss against tokens", prefix, loss, "loss", log_x=True, log_y=True),
        _line("Loss against compute", prefix, loss, "loss", x=f"{prefix}/run_flops", log_x=True, log_y=True, column=1),
        wr.WeavePanelSummaryTable(table_name=rename(TABLE, prefix), layout=wr.Layout(w=24, h=8)),
    ]
    return _section("Ladder", panels, columns=2)


def _section(name: str, panels: Sequence[Any], *, columns: int = 3) -> Any:
    ws = _import("wandb_workspaces.workspaces")
    rows = -(-len(panels) // columns)
    layout = ws.SectionLayoutSettings(columns=columns, rows=rows)
    return ws.Section(name=name, panels=list(panels), is_open=True, layout_settings=layout)


def _line(
    title: str,
    prefix: str,
    names: Sequence[str],
    unit: str,
    *,
    x: str | None = None,
    log_x: bool = False,
    log_y: bool = False,
    column: int = 0,
) -> Any:
    wr = _import("wandb_workspaces.reports.v2")
    return wr.LinePlot(
        title=title,
        x=x or rename(TOKENS, prefix),
        y=[f"{prefix}/{name}" for name in names],
        title_x="FLOPs" if x else "tokens",
        title_y=unit,
        log_x=log_x,
        log_y=log_y,
        smoothing_type="none",
        max_runs_to_show=MOST_RUNS,
        layout=wr.Layout(x=8 * column),
    )


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingDependency("dashboard needs wandb-workspaces: pip install 'scaling-callback[wandb]'") from None
