"""The families of models that the studies run on: which rows of which table, and where the tables are looked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling_callback import Run, read_table
from scaling_callback.errors import InputError
from scaling_callback.forecasting import best_runs
from scaling_callback.reporting.units import number

HERE = Path(__file__).resolve().parent

FOLDERS = (HERE.parents[2] / "shared" / "data", HERE.parent / "data")
"""Where tables are looked for when nothing else is named: all of them beside the repository, those whose licence
allows it in it."""

FEWEST_SIZES = 3
"""Sizes of a family: with fewer, too few remain below the largest to fit anything."""


@dataclass(frozen=True)
class Family:
    """Models of one recipe that differ in parameters and tokens alone.

    Attributes:
        name: As it is shown.
        table: Name of the table.
        where: Rows of it: several columns are AND, one column repeated is OR.
        best: Whether of each size and horizon only the run of the lowest final is kept: settings were swept.
        diverged: Final loss from which a run counts as diverged, and is left out.
        highest: So many runs of the highest finals are left out, as the published fit of these points does.
        once: Whether only runs that saw no token twice are kept.
        unfinished: Whether its last losses lie in the middle of longer schedules, as its source says: they are neither
            finals of an annealed rate nor of a constant one.
    """

    name: str
    table: str
    where: tuple[tuple[str, str], ...] = ()
    best: bool = False
    diverged: float = math.inf
    highest: int = 0
    once: bool = False
    unfinished: bool = False

    @property
    def source(self) -> str:
        """The study that its models come from: those of one share data, code and sizes."""
        return next((study for study in STUDIES if self.table.startswith(study)), self.table)


STUDIES = ("datablations", "gemstones", "misfitting", "supercollapse", "xlstm")
"""How the names of tables begin of which several are of one study."""

_PORIAN = (
    *(f"{data}_base_{horizon}" for data in ("owt2", "rw") for horizon in ("long_kaplan", "short_kaplan")),
    *(f"{data}_base_short_chinchilla" for data in ("owt2", "rw")),
    *(f"{data}_tuned_short_const" for data in ("owt2", "rw")),
)

FAMILIES: tuple[Family, ...] = (
    Family("OLMo ladder", "olmo_ladder"),
    Family("(Mis)Fitting", "misfitting", best=True),
    Family("(Mis)Fitting, dense sheet", "misfitting_dense_sheet", best=True),
    Family("Multi-power law, cosine", "multipowerlaw", (("schedule", "cosine_24000"), ("schedule", "cosine_72000"))),
    Family(
        "Multi-power law, WSD", "multipowerlaw", (("schedule", "wsd_20000_24000"), ("schedule", "wsdld_20000_24000"))
    ),
    Family(
        "Multi-power law, constant", "multipowerlaw", (("schedule", "constant_24000"), ("schedule", "constant_72000"))
    ),
    Family("Gemstones, constant", "gemstones_hot"),
    Family("Gemstones, half the rate", "gemstones_lr_ablation"),
    Family("Gemstones, cooled down", "gemstones_cooldown"),
    *(
        Family(
            f"Llama of xLSTM, context {length}",
            f"xlstm_isoflop_llama_ctx{length}",
            (("loss_kind", "train"),),
            diverged=8.0,
        )
        for length in (2048, 8192, 16384)
    ),
    Family("Supercollapse, MLP", "supercollapse_mlp"),
    Family("Supercollapse, MLP, constant", "supercollapse_mlp_const"),
    Family("Supercollapse, pixels", "supercollapse_c5m"),
    *(
        Family(f"Supercollapse, pixels, {words}", "supercollapse_c5m_schedules", (("schedule", schedule),))
        for words, schedule in (
            ("constant", "const decay_frac=1.0"),
            ("linear", "linear decay_frac=1.0"),
            ("late linear", "linear decay_frac=0.2"),
            ("cycles", "multicosine decay_frac=1.0"),
            ("late cycles", "multicosine decay_frac=0.2"),
        )
    ),
    Family("Datablations, C4", "datablations_curves", (("family", "datablations_c4"), ("epochs", "1"))),
    Family("Datablations, OSCAR", "datablations_curves", (("family", "datablations_oscar"), ("epochs", "1"))),
    Family("Datablations, C4, finals", "datablations_contour", diverged=8.0, once=True),
    Family("GPT-3, train", "gpt3_extracted", (("loss_kind", "train (digitised)"),)),
    Family("GPT-3, validation", "gpt3_extracted", (("loss_kind", "val (digitised)"),)),
    Family("Language models of Alabdulmohsin", "revisiting_lang", (("family", "revisiting_LM"),)),
    *(
        Family(
            f"Porian, {setting.replace('_', ' ')}",
            "porian_isoflop",
            (("family", f"porian_{setting}_standard_val"),),
            unfinished="base" in setting,
        )
        for setting in _PORIAN
    ),
    *(
        Family(
            f"Porian, {setting.replace('_', ' ')}, Kaplan's counting",
            "porian_isoflop",
            (("family", f"porian_{setting}_kaplan_train"),),
            unfinished="base" in setting,
        )
        for setting in ("owt2_base_long_kaplan", "rw_base_long_kaplan", "rw_tuned_long_const")
    ),
    Family("Chinchilla, digitised", "chinchilla_epoch", highest=5),
    Family("Llama 3, digitised", "llama3_isoflop", (("outlier", "False"),)),
    Family("Step law", "steplaw_dense", best=True),
    *(
        Family(f"Grammars, gzip {ratio}", "gzip_pcfg", (("family", f"gzip_{ratio}"),))
        for ratio in ("0.12", "0.23", "0.33", "0.45", "0.61")
    ),
)
"""Every family that is known, whether or not its table is at hand. A new one is one line."""


TUNED = ("olmo_ladder", "misfitting", *(f"xlstm_isoflop_llama_ctx{length}" for length in (2048, 8192, 16384)))
"""Tables on which constants of the default forecaster were chosen (docs/accuracy.md, section 9): no blind test."""


def find_table(name: str, folders: Sequence[Path]) -> Path | None:
    """The table of that name in the first folder that has it; `None` where none has.

    Example:
        >>> find_table("no_such_table", FOLDERS) is None
        True
    """
    return next((path for folder in folders if (path := folder / f"{name}.csv").is_file()), None)


def read_family(family: Family, folders: Sequence[Path]) -> tuple[Run, ...] | None:
    """The finished runs of a family that have not diverged; `None` where its table is in none of the folders.

    Raises:
        InputError: The table cannot be read, or has too few sizes of it.
    """
    path = find_table(family.table, folders)
    if path is None:
        return None
    runs = read_table(path, where=family.where)
    kept = [run for run in runs if run.final is not None and run.final.loss < family.diverged]
    if family.once:
        kept = [run for run in kept if float(run.card.extra["epochs"]) <= 1.0]
    if family.highest:
        ranked = sorted((run.final.loss, run.name) for run in kept if run.final is not None)
        left_out = {name for _, name in ranked[-family.highest :]}
        kept = [run for run in kept if run.name not in left_out]
    sizes = len({run.params for run in kept})
    if sizes < FEWEST_SIZES:
        raise InputError(
            f"{path}: {number(sizes, 'size')} of {family.name!r} with a finite final; a study needs {FEWEST_SIZES}, of "
            "which the largest is held out"
        )
    return tuple(best_runs(kept) if family.best else kept)
