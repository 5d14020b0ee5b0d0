"""A sweep of Ray Tune over learning rates, in which runs that can no longer win are stopped.

    pip install 'scaling-callback[ray]' torch
    python examples/ray_sweep.py
    python examples/ray_sweep.py --action record   # shadow mode: stops nothing, and says what it would have

Two workers train trials of one size side by side. Each reports its validation loss eight times; the scheduler forecasts
from the trials that have ended where it will end.
"""

from __future__ import annotations

import argparse
import sysconfig
from pathlib import Path
from typing import Any

BATCH, CONTEXT, WIDTH, STEPS, REPORTS = 16, 64, 16, 160, 8
RATES = (1e-2, 3e-2, 3e-4, 1e-3, 1e-1, 3e-1)


def train(config: dict[str, Any]) -> None:
    """One trial on whichever worker it lands: AdamW on a cosine that ends with it."""
    import torch
    from ray import tune
    from torch import nn

    tuning: Any = tune  # its types are partial
    torch.set_num_threads(1)
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))  # real text that every machine has
    text = torch.frombuffer(bytearray(b"".join(map(Path.read_bytes, files))), dtype=torch.uint8).long()
    held_out, text = text[: 64 * CONTEXT].view(64, CONTEXT), text[64 * CONTEXT :]
    chance = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Embedding(256, WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, 256)
    )  # fmt: skip

    def loss_of(ids: torch.Tensor) -> torch.Tensor:
        """Mean cross entropy in nats per byte."""
        return nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=config["lr"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config["steps"])
    for step in range(1, config["steps"] + 1):
        places = torch.randint(len(text) - CONTEXT, (BATCH, 1), generator=chance)
        optimizer.zero_grad()
        torch.autograd.backward(loss_of(text[places + torch.arange(CONTEXT)]))
        optimizer.step()
        schedule.step()
        if step % (config["steps"] // REPORTS) == 0:
            with torch.no_grad():
                tuning.report({"val_loss": loss_of(held_out).item(), "step": step})


def main() -> None:
    """Sweep, and say what was stopped, why, and what that saved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--action", choices=("stop", "record"), default="stop", help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("runs/ray_sweep"), help="default: %(default)s")
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args()
    steps = REPORTS * max(1, round(STEPS * given.scale / REPORTS))
    size = 256 * WIDTH + (WIDTH + 1) * 2 * WIDTH + (2 * WIDTH + 1) * 256

    import ray
    from ray import tune

    from scaling_callback.integrations.ray import ScalingScheduler
    from scaling_callback.sweeping import Sweep

    cluster: Any = ray
    cluster.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        sweep = Sweep(params="size", steps="steps", tokens_per_step=BATCH * CONTEXT, schedule="cosine")
        scheduler = ScalingScheduler(sweep, step="step", action=given.action)
        space: dict[str, Any] = {"lr": {"grid_search": list(RATES)}, "steps": steps, "size": size}
        tuner = tune.Tuner(
            train,
            param_space=space,
            # a worker takes one trial after another: to start one takes longer than to train
            tune_config=tune.TuneConfig(metric="val_loss", mode="min", scheduler=scheduler, reuse_actors=True),
            run_config=tune.RunConfig(name="sweep", storage_path=str(given.output.resolve()), verbose=0),
        )
        results = tuner.fit()
    finally:
        cluster.shutdown()

    trained = 0
    for result in results:
        assert result.metrics is not None
        call = scheduler.calls.get(result.metrics["trial_id"])
        said = f" ({call.rule}: {call.reason})" if call else ""
        trained += result.metrics["step"]
        lr, loss, step = result.metrics["config"]["lr"], result.metrics["val_loss"], result.metrics["step"]
        print(f"lr {lr:g}: {loss:.3f} at step {step} of {steps}{said}")
    stopped = sum(call.acted for call in scheduler.calls.values())
    saved = 1 - trained / (steps * len(results))
    print(f"{stopped} of {len(results)} trials stopped, {saved:.0%} of the compute saved")


if __name__ == "__main__":
    main()
