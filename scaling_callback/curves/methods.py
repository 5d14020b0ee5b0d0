"""The methods by name: one file each, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from scaling_callback.curves.annealing import forecast_by_annealing
from scaling_callback.curves.cooldown import forecast_by_cooldown
from scaling_callback.curves.gap import forecast_by_gap
from scaling_callback.curves.law import forecast_by_law
from scaling_callback.curves.multipower import forecast_by_multipower
from scaling_callback.curves.own import forecast_by_own_law
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.curves.template import forecast_by_template
from scaling_callback.records import Run

Method: TypeAlias = Callable[[Run, Sequence[Run]], FinalForecast | Abstention]

METHODS: dict[str, Method] = {
    "gap": forecast_by_gap,
    "template": forecast_by_template,
    "own-power-law": forecast_by_own_law,
    "law": forecast_by_law,
    "cooldown": forecast_by_cooldown,
    "annealing-law": forecast_by_annealing,
    "multi-power-law": forecast_by_multipower,
}
