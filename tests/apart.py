"""Functions of the tests in processes of their own: to be killed, to be ranks of one training, or both at once.

They are forked from a process that has imported everything and does nothing else, so that each starts at once.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch


@functools.cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support_training", "torch.distributed.fsdp"])
    return context


def start(
    function: Callable[..., None], *args: Any, log: Path, environment: Mapping[str, str] | None = None
) -> BaseProcess:
    """Start a function of a test module; what it prints and warns of is written to the file `log`."""
    process = _context().Process(target=_enter, args=(log, dict(environment or {}), function, args))
    process.start()
    return process


def _enter(log: Path, environment: dict[str, str], function: Callable[..., None], args: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    function(*args)


def run_ranks(count: int, function: Callable[..., None], folder: Path, *args: Any) -> str:
    """Run a function of `folder` on each of `count` ranks, which find each other as those of `torchrun` do.

    Returns:
        What the first rank printed and warned of.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    logs = [folder / f"rank-{rank}.log" for rank in range(count)]
    ranks = [
        start(function, folder, *args, log=log, environment={k: str(v) for k, v in each.items()})
        for rank, log in enumerate(logs)
        for each in [{**shared, "RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "TORCHELASTIC_RUN_ID": "test"}]
    ]
    for rank in ranks:
        rank.join(60)
    alive = [rank for rank in ranks if rank.is_alive()]
    for rank in alive:
        rank.kill()
    said = [log.read_text(encoding="utf-8") for log in logs]
    assert not alive, f"a rank did not end:\n{said[0][-1500:]}"
    assert [rank.exitcode for rank in ranks] == [0] * count, "\n".join(text[-1500:] for text in said)
    return said[0]


def wait_for(happened: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until something has happened; fail if it has not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
