"""What the findings come to for each recommendation of the study, as the library's report lists them."""

from __future__ import annotations

from collections.abc import Sequence

from page import Finding, table

from scaling_callback import refresh
from scaling_callback.reporting import check_recommendations
from scaling_callback.reporting.units import number

ON_RECOMMENDATIONS = (
    "Each is checked by the library's report on every ladder. Here is what became of the finding that it rests on "
    "most; others stand below."
)
"""What stands above the recommendations."""


def show_recommendations(findings: Sequence[Finding]) -> str:
    """A table of every recommendation with its verdict and the numbers behind it.

    Raises:
        ValueError: A finding is of a recommendation that does not exist.
    """
    listed = check_recommendations(refresh(()))
    unknown = {finding.recommendation for finding in findings if finding.recommendation} - {r.name for r in listed}
    if unknown:
        raise ValueError(f"there is no recommendation named {', '.join(sorted(unknown))}; take one of the library's")
    rows: list[tuple[str, ...]] = []
    for each in listed:
        own = [finding for finding in findings if finding.recommendation == each.name]
        more = f"; {number(len(own) - 1, 'finding')} more below" if len(own) > 1 else ""
        first = own[0].number + more if own else ""
        rows.append((each.text, each.source, f"**{own[0].verdict if own else 'no data'}**", first))
    return table(("Recommendation", "what the study found", "here it", "the number"), rows, text=4)
