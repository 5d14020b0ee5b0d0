"""Published fits, from which a parameter can be borrowed where the data are too few to hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scaling_callback.errors import InputError


@dataclass(frozen=True)
class Family:
    """The parameters that a study published for its models.

    Attributes:
        values: Natural parameters by name; losses are nats per token, sizes and tokens plain counts.
        source: The study.
    """

    values: Mapping[str, float]
    source: str


PUBLISHED: dict[str, Family] = {
    "hoffmann": Family(
        {"E": 1.6934, "A": 406.4, "B": 410.7, "alpha": 0.3392, "beta": 0.2849},
        "Hoffmann et al. 2022, approach 3, arXiv 2203.15556",
    ),
    "besiroglu": Family(
        {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
        "Besiroglu et al. 2024, arXiv 2404.10102",
    ),
    "muennighoff": Family(
        {"E": 1.869, "A": 521.0, "B": 1488.0, "alpha": 0.3527, "beta": 0.3527, "R_N": 5.31, "R_D": 15.39},
        "Muennighoff et al. 2023, arXiv 2305.16264",
    ),
    "kaplan": Family(
        {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
        "Kaplan et al. 2020, arXiv 2001.08361, table 2",
    ),
}


def get_family(name: str) -> Family:
    """The published fit of that name.

    Raises:
        InputError: There is none.

    Example:
        >>> get_family("besiroglu").values["alpha"]
        0.3478
    """
    if name not in PUBLISHED:
        raise InputError(f"there is no published fit named {name!r}; choose one of: {', '.join(PUBLISHED)}")
    return PUBLISHED[name]
