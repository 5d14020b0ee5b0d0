"""The weighted points that a fit sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.records import Array, BoolArray

Codes: TypeAlias = NDArray[np.int64]


OWN_COLUMNS = ("params", "tokens", "loss", "weight")
"""Columns of numbers that every point has: no further variable may take their names."""


@dataclass(frozen=True, eq=False)
class Points:
    """n points (N, D, L) with the weight of each and the cluster it belongs to.

    Attributes:
        params: N, shape (n,).
        tokens: D, shape (n,).
        loss: L, shape (n,).
        weight: Weight of each point in the objective, shape (n,); 1 is one measured final.
        spread: Standard deviation of ln L where a loss is itself a forecast, shape (n,); 0 where it is measured.
        run: Code of the run that it comes from, shape (n,).
        cluster: Code of the cluster that a bootstrap resamples as one, shape (n,).
        twins: Code of the runs that repeat each other but for their seed, shape (n,).
        columns: Further variables by name, each (n,), for laws that have them: `unique_tokens`, `compute`.
    """

    params: Array
    tokens: Array
    loss: Array
    weight: Array
    spread: Array
    run: Codes
    cluster: Codes
    twins: Codes
    columns: Mapping[str, Array] = field(default_factory=dict[str, Array])

    @classmethod
    def of(
        cls,
        params: ArrayLike,
        tokens: ArrayLike,
        loss: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        spread: ArrayLike | None = None,
        run: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
        twins: ArrayLike | None = None,
        columns: Mapping[str, ArrayLike] | None = None,
    ) -> Points:
        """Points from columns; by default each is measured, has weight 1, and is its own run and cluster.

        Raises:
            InputError: The columns differ in length, or a value is not a positive, finite number.

        Example:
            >>> len(Points.of([1e6, 1e7], [1e8, 1e9], [4.0, 3.5]))
            2
        """
        further = columns or {}
        if reserved := {*OWN_COLUMNS} & {*further}:
            raise InputError(f"columns holds {', '.join(sorted(reserved))}, which every point has; name it otherwise")
        given = {"params": params, "tokens": tokens, "loss": loss, "weight": weight, **further}
        arrays: dict[str, Array] = {}
        size = len(np.atleast_1d(np.asarray(params)))
        for name, column in given.items():
            values = np.ones(size) if column is None and name == "weight" else _read_column(name, column, size)
            wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
            if len(wrong):
                raise InputError(f"{name}[{wrong[0]}] is {values[wrong[0]]}; it must be a positive, finite number")
            arrays[name] = values
        spreads = np.zeros(size) if spread is None else _read_column("spread", spread, size)
        if not (np.isfinite(spreads) & (spreads >= 0)).all():
            raise InputError("spread holds a value that is not 0 or a positive, finite number")
        labels = {"run": run, "cluster": cluster, "twins": twins}
        codes = {name: None if label is None else _read_labels(name, label, size) for name, label in labels.items()}
        runs = np.arange(size) if codes["run"] is None else codes["run"]
        return cls(
            arrays["params"],
            arrays["tokens"],
            arrays["loss"],
            arrays["weight"],
            spreads,
            runs,
            runs if codes["cluster"] is None else codes["cluster"],
            np.arange(size) if codes["twins"] is None else codes["twins"],
            {name: arrays[name] for name in further},
        )

    def __len__(self) -> int:
        return len(self.loss)

    def take(self, mask: BoolArray | NDArray[np.intp]) -> Points:
        """The points where `mask` (n,) is true, or those at its places.

        Example:
            >>> Points.of([1e6, 1e7], [1e8, 1e9], [4.0, 3.5]).take(np.array([False, True])).loss.tolist()
            [3.5]
        """
        return Points(
            self.params[mask],
            self.tokens[mask],
            self.loss[mask],
            self.weight[mask],
            self.spread[mask],
            _encode(self.run[mask]),
            _encode(self.cluster[mask]),
            _encode(self.twins[mask]),
            {name: values[mask] for name, values in self.columns.items()},
        )

    @property
    def n_runs(self) -> int:
        """How many runs the points come from."""
        return len(np.unique(self.run))

    @property
    def n_independent(self) -> int:
        """How many clusters hold a measured loss: a forecast of a loss is no further independent run."""
        return len(np.unique(self.cluster[self.spread == 0]))

    def log_variables(self, names: tuple[str, ...]) -> Array:
        """Ln of the named variables, shape (V, n); `compute` is 6 N D where no column says otherwise.

        Raises:
            NotEnoughData: There is no such column.
        """
        return log_variables({"params": self.params, "tokens": self.tokens, **self.columns}, names)


def log_variables(known: Mapping[str, ArrayLike], names: tuple[str, ...]) -> Array:
    """Ln of the named variables (V, m), broadcast to one length; `compute` is 6 N D where it is not known.

    Raises:
        NotEnoughData: A variable is not known.

    Example:
        >>> log_variables({"params": 1e6, "tokens": 1e8}, ("compute",)).round(3)
        array([[34.028]])
    """
    logs = {name: np.log(np.atleast_1d(np.asarray(values, dtype=float))) for name, values in known.items()}
    if "params" in logs and "tokens" in logs:
        logs.setdefault("compute", np.log(6.0) + logs["params"] + logs["tokens"])
    for name in names:
        if name not in logs:
            raise NotEnoughData(
                f"the law needs {name}, which is not known for every run and target; give every run a column of "
                "that name and the target a further variable, or take another law"
            )
    return np.stack(np.broadcast_arrays(*(logs[name] for name in names)))


def _read_column(name: str, column: ArrayLike | None, size: int) -> Array:
    """A column of `size` numbers.

    Raises:
        InputError: It is none.
    """
    try:
        values = np.atleast_1d(np.asarray(column if column is not None else (), dtype=float))
    except (TypeError, ValueError):
        raise InputError(f"{name} holds something that is no number; give a column of numbers") from None
    if values.shape != (size,):
        raise InputError(f"{name} has shape {values.shape}, params has ({size},); give columns of one length")
    return values


def _read_labels(name: str, labels: ArrayLike, size: int) -> Codes:
    """Codes of a column of `size` labels.

    Raises:
        InputError: It is none.
    """
    column = np.atleast_1d(np.asarray(labels))
    if column.shape != (size,):
        raise InputError(f"{name} has shape {column.shape}, params has ({size},); give columns of one length")
    try:
        return _encode(column)
    except TypeError:
        raise InputError(f"{name} mixes kinds of labels; give texts, or numbers") from None


def _encode(labels: NDArray[Any]) -> Codes:
    """Codes 0, 1, ... of equal labels."""
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)
