"""A law of further variables gets them from the table, and from the user for the target."""

from __future__ import annotations

import numpy as np
import pytest
from support import Writer

from scaling_callback import Config, Target, allocate, read_table, refresh
from scaling_callback.errors import InputError
from scaling_callback.laws import get_law
from scaling_callback.reporting import render_html

LAW = get_law("muennighoff")


def repeated_data(write: Writer, *, column: bool = True) -> str:
    """A table of finals of the data-constrained law, some of them on repeated data."""
    rows = ["run,params,tokens,loss" + (",unique_tokens" if column else "")]
    for n in (1e7, 3e7, 1e8, 3e8, 1e9):
        for ratio in (5, 20, 80):
            for share in (1.0, 0.2, 0.03):
                d, u = n * ratio, n * ratio * share
                loss = LAW.loss(np.array([LAW.typical]), *np.array([[n], [d], [u]]))[0, 0]
                rows.append(f"{n:g}-{ratio}-{share},{n},{d},{loss}" + (f",{u}" if column else ""))
    return str(write("\n".join(rows)))


def test_a_column_of_the_table_is_a_variable_of_the_law(table: Writer) -> None:
    runs = read_table(repeated_data(table))
    target, further = Target(params=1e10, tokens=2e11), {"unique_tokens": 1e10}
    config = Config(law="muennighoff", prior=False, target=target, further=further, replicates=20, splits=False)
    made = refresh(runs, (), config)
    assert made.fit is not None
    assert made.fit.params == pytest.approx(dict(zip(LAW.names, LAW.typical, strict=True)), rel=1e-4)
    assert made.forecast is not None
    truth = LAW.loss(np.array([LAW.typical]), *np.array([[1e10], [2e11], [1e10]]))[0, 0]
    assert made.forecast.median == pytest.approx(truth, rel=1e-4)
    assert made.record.are is not None
    assert "muennighoff" in render_html(made)


def test_fewer_unique_tokens_move_the_split_to_more_parameters_never_to_a_lower_loss(table: Writer) -> None:
    runs = read_table(repeated_data(table))
    splits = [
        allocate(runs, 1e20, Config(law="muennighoff", prior=False, replicates=20, further={"unique_tokens": unique}))
        for unique in (1e12, 1e9)
    ]
    plenty, scarce = (split.loss for split in splits)
    assert plenty is not None
    assert scarce is not None
    assert scarce > plenty


def test_a_target_without_the_variable_is_refused_in_one_line(table: Writer) -> None:
    runs = read_table(repeated_data(table))
    for target in (Target(params=1e10, tokens=2e11), Target(flops=1e21)):
        made = refresh(runs, (), Config(law="muennighoff", target=target, replicates=5, past=False))
        assert made.forecast is None
        assert "needs unique_tokens" in made.absent["forecast"]
        assert "\n" not in made.absent["forecast"]
        render_html(made)


def test_a_table_without_the_column_is_refused_in_one_line(table: Writer) -> None:
    made = refresh(read_table(repeated_data(table, column=False)), (), Config(law="muennighoff"))
    assert made.absent["fit"].startswith("the law needs unique_tokens")


def test_measured_flops_are_the_compute_of_a_law_of_compute(table: Writer) -> None:
    c = np.geomspace(1e18, 1e21, 8)
    rows = [f"r{i},1e8,{x / 6e8},{1.8 + 2700 / x**0.18},{x * 1.5}" for i, x in enumerate(c)]
    runs = read_table(table("\n".join(["run,params,tokens,loss,flops", *rows])))
    fit = refresh(runs, (), Config(law="power-compute", replicates=5)).fit
    assert fit is not None
    np.testing.assert_allclose(fit.points.columns["compute"], c * 1.5, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_further_variable_must_be_a_positive_number(value: float) -> None:
    with pytest.raises(InputError, match="unique_tokens is"):
        Config(further={"unique_tokens": value})
