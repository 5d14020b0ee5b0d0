"""Claims about runs of several ranks that are stopped: by every rule, at one step, with one checkpoint."""

from __future__ import annotations

import json
import os
from pathlib import Path

import lightning.pytorch as pl
import pytest
from apart import run_ranks
from lightning.pytorch.strategies import DDPStrategy
from support_training import Bytes
from test_stopping_live import SITUATIONS, STEP, Fated, Watch, add_rivals, find, make, saved
from torch.utils.data import DataLoader


def train_ranked(folder: Path, place: int) -> None:
    """A training on two ranks in one of the situations; each rank tells how it ended."""
    situation, watch, model = SITUATIONS[place], Watch(), Fated()
    model.losses = situation.losses
    callback = make(folder, rules=[situation.rule], action="stop", **{"horizon": 12 * STEP, **situation.options})
    trainer = pl.Trainer(
        max_steps=12, val_check_interval=situation.every, check_val_every_n_epoch=None, accelerator="cpu",
        devices=2, strategy=DDPStrategy(process_group_backend="gloo"), logger=False, callbacks=[watch, callback],
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
    )  # fmt: skip
    # two ranks take two sequences a step each, so that a step has as many tokens as that of one rank
    trainer.fit(model, DataLoader(Bytes(64), batch_size=2), DataLoader(Bytes(8), batch_size=8))
    (folder / f"{os.environ['RANK']}.end").write_text(json.dumps([trainer.global_step, watch.at]), encoding="utf-8")


@pytest.mark.stress
@pytest.mark.parametrize("place", range(len(SITUATIONS)), ids=[each.name for each in SITUATIONS])
def test_two_ranks_are_stopped_by_a_rule_at_one_step_with_one_checkpoint(tmp_path: Path, place: int) -> None:
    situation = SITUATIONS[place]
    if situation.rivals:
        add_rivals(tmp_path / "ladder")
    run_ranks(2, train_ranked, tmp_path, place)
    ends = [json.loads((tmp_path / f"{rank}.end").read_text(encoding="utf-8")) for rank in (0, 1)]
    assert ends == [[8, [*range(situation.every, 9, situation.every)]]] * 2
    run = find(tmp_path / "ladder")
    assert run.stopped is not None
    assert (run.stopped.rule, run.stopped.step, run.completed) == (situation.name, 8, False)
    assert list(saved(tmp_path)) == [8]
