"""The weighted points that a fit sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling_callback.errors import InputError
from scaling_callback.records import Array


@dataclass(frozen=True, eq=False)
class Points:
    """n points (N, D, L) with the weight of each and the cluster it belongs to.

    Attributes:
        params: N, shape (n,).
        tokens: D, shape (n,).
        loss: L, shape (n,).
        weight: Weight of each point in the objective, shape (n,); 1 is one measured final.
        cluster: Code of the cluster that a bootstrap resamples as one, shape (n,).
    """

    params: Array
    tokens: Array
    loss: Array
    weight: Array
    cluster: np.ndarray[tuple[int], np.dtype[np.int64]]

    @classmethod
    def of(
        cls,
        params: ArrayLike,
        tokens: ArrayLike,
        loss: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
    ) -> Points:
        """Points from columns; by default each has weight 1 and is its own cluster.

        Raises:
            InputError: The columns differ in length, or a value is not a positive, finite number.

        Example:
            >>> len(Points.of([1e6, 1e7], [1e8, 1e9], [4.0, 3.5]))
            2
        """
        columns = {"params": params, "tokens": tokens, "loss": loss, "weight": weight}
        arrays: dict[str, Array] = {}
        size = len(np.atleast_1d(np.asarray(params)))
        for name, column in columns.items():
            values = np.ones(size) if column is None else np.atleast_1d(np.asarray(column, dtype=float))
            if values.shape != (size,):
                raise InputError(f"{name} has shape {values.shape}, params has ({size},); give columns of one length")
            wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
            if len(wrong):
                raise InputError(f"{name}[{wrong[0]}] is {values[wrong[0]]}; it must be a positive, finite number")
            arrays[name] = values
        labels = np.arange(size) if cluster is None else np.asarray(cluster)
        codes = np.unique(labels, return_inverse=True)[1].astype(np.int64)
        return cls(arrays["params"], arrays["tokens"], arrays["loss"], arrays["weight"], codes)

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def n_clusters(self) -> int:
        """How many clusters there are."""
        return len(np.unique(self.cluster))

    def log_variables(self, names: tuple[str, ...]) -> Array:
        """Ln of the named variables, shape (V, n)."""
        return np.log(np.stack([getattr(self, name) for name in names]))
