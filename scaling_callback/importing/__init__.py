"""Runs that people already have, as a ladder: from W&B, TensorBoard, CSV tables and Lightning's CSVLogger.

Each source is one file that gives `Record`s: who a run is, and its rows. The rest is common: which keys hold the loss,
the tokens and the parameters (`Keys`, found by name where only one can be meant), what of a record is an observation,
and how it comes into a ladder without ever standing there twice. Nothing is sampled and nothing is made up: what is
left out is counted, with its reason.
"""

from __future__ import annotations

from scaling_callback.importing.csv import read_csv
from scaling_callback.importing.importer import Imported, import_runs
from scaling_callback.importing.keys import Chosen, Keys
from scaling_callback.importing.record import Log, Record
from scaling_callback.importing.tensorboard import read_tensorboard
from scaling_callback.importing.wandb import read_wandb

__all__ = [
    "Chosen",
    "Imported",
    "Keys",
    "Log",
    "Record",
    "import_runs",
    "read_csv",
    "read_tensorboard",
    "read_wandb",
]
