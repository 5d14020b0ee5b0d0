"""A sweep of Optuna over learning rates, in which runs that can no longer win are pruned.

    pip install 'scaling-callback[optuna]' torch
    python examples/optuna_sweep.py
    python examples/optuna_sweep.py --action record   # shadow mode: prunes nothing, and says what it would have

Two threads train trials of one size side by side. Each reports its validation loss eight times; the pruner forecasts
from the trials that have ended where it will end.
"""

from __future__ import annotations

import argparse
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import torch
from torch import Tensor, nn
from torch.nn import functional

from scaling_callback.integrations.optuna import ScalingPruner
from scaling_callback.sweeping import Sweep
from scaling_callback.tables import write_table

BATCH, CONTEXT, WIDTH, STEPS, REPORTS = 16, 64, 16, 160, 8


@cache
def load() -> tuple[Tensor, Tensor]:
    """Bytes to train on and held-out windows (windows, CONTEXT): real text that every machine has."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = torch.frombuffer(bytearray(b"".join(map(Path.read_bytes, files))), dtype=torch.uint8).long()
    return text[64 * CONTEXT :], text[: 64 * CONTEXT].view(64, CONTEXT)


def make_model() -> nn.Module:
    """Predicts a byte from the one before it."""
    return nn.Sequential(
        nn.Embedding(256, WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, 256)
    )  # fmt: skip


def loss_of(model: nn.Module, ids: Tensor) -> Tensor:
    """Mean cross entropy in nats per byte of ids (batch, CONTEXT)."""
    return functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def train(trial: optuna.Trial, steps: int) -> float:
    """One trial: AdamW on a cosine that ends with it; its final validation loss."""
    rate = trial.suggest_float("lr", 1e-4, 3e-1, log=True)
    text, held_out = load()
    chance = torch.Generator().manual_seed(trial.number)
    model = make_model()
    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss = float("nan")
    for step in range(1, steps + 1):
        places = torch.randint(len(text) - CONTEXT, (BATCH, 1), generator=chance)
        optimizer.zero_grad()
        torch.autograd.backward(loss_of(model, text[places + torch.arange(CONTEXT)]))
        optimizer.step()
        schedule.step()
        if step % (steps // REPORTS) == 0:
            with torch.no_grad():
                loss = loss_of(model, held_out).item()
            trial.report(loss, step)
            if trial.should_prune():
                raise optuna.TrialPruned
    return loss


def main() -> None:
    """Sweep, and say what was stopped, why, and what that saved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--action", choices=("stop", "record"), default="stop", help="default: %(default)s")
    parser.add_argument("--trials", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    parser.add_argument("--table", type=Path, help="write the trials as a table, such as for audit-stops")
    given = parser.parse_args()
    steps = REPORTS * max(1, round(STEPS * given.scale / REPORTS))
    size = sum(weights.numel() for weights in make_model().parameters())

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweep = Sweep(params=size, steps=steps, tokens_per_step=BATCH * CONTEXT, schedule="cosine")
    pruner = ScalingPruner(sweep, action=given.action)
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: train(trial, steps), n_trials=given.trials, n_jobs=2)

    for trial in study.trials:
        call: dict[str, Any] | None = trial.user_attrs.get("scaling_stop")
        end = f"ended at {trial.value:.3f}" if trial.state.name == "COMPLETE" else f"pruned at step {trial.last_step}"
        said = f" ({call['rule']}: {call['reason']})" if call else ""
        print(f"trial {trial.number}, lr {trial.params['lr']:.2g}: {end}{said}")
    trained = sum(trial.last_step or 0 for trial in study.trials)
    pruned = sum(trial.state.name == "PRUNED" for trial in study.trials)
    saved = 1 - trained / (steps * len(study.trials))
    print(f"best: lr {study.best_params['lr']:.2g} at {study.best_value:.3f}")
    print(f"{pruned} of {len(study.trials)} trials pruned, {saved:.0%} of the compute saved")
    if given.table:
        write_table(pruner.runs(study), given.table)


if __name__ == "__main__":
    main()
