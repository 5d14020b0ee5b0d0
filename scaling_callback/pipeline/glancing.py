"""A glance at a ladder: what is known of its runs without a law, made as far as somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from scaling_callback.curves import Abstention, FinalForecast, forecast_final
from scaling_callback.forecasting import others_of
from scaling_callback.pipeline.refreshing import refresh
from scaling_callback.records import Run
from scaling_callback.snapshot import Config, Snapshot


def glance(runs: Sequence[Run], config: Config = Config()) -> Snapshot:  # noqa: B008 (frozen)
    """The snapshot of these runs without a law, for nearly nothing: of it only what is looked at is made.

    Args:
        runs: What is looked at, as it is; `config.runs` chooses none of them.
        config: What is asked, but for the law and the target.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> *others, run = planted_ladder()
        >>> made = glance([*others, run.until(run.horizon / 2)])
        >>> list(made.finals), made.fit is None
        (['n3e+08-r80'], True)
        >>> round(made.finals[run.name].median, 2), round(run.final.loss, 2)
        (2.62, 2.62)
    """
    nothing = refresh((), (), replace(config, fits=False, target=None))
    return replace(nothing, runs=tuple(runs), finals=LazyFinals(runs))


class LazyFinals(Mapping[str, FinalForecast | Abstention]):
    """Forecast finals of the unfinished of these runs, as `refresh` makes them, each when it is asked for."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = tuple(runs)
        self._open = {run.name: run for run in runs if run.final is None}
        self._made: dict[str, FinalForecast | Abstention] = {}

    def __getitem__(self, name: str) -> FinalForecast | Abstention:
        if name not in self._made:
            run = self._open[name]
            self._made[name] = forecast_final(run, others_of(run, self._runs))
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)
