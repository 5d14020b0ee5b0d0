"""The store: a ladder is a folder (or any fsspec URL) of runs, a run a folder of numbered segments and one card.

::

    ladder/
      card.yaml                          the form of the whole ladder; left there once, and filled in by people
      tiny-9k/
        card.json                        who the run is; written when it starts, and edited by people
        observations-000001.json         written once, never appended to
        observations-000001-000032.json  segments 1 to 32, merged by the run's own writer
        forecasts-000001.json            forecasts that the run issued
        ...

A segment file is a list of *parts*. Merging joins the parts between two resumes, so it loses nothing, and a reader
that finds both a merged file and the files it was made from takes the merged one. One writer per run, the last to
resume it; any number of readers; no locks. A damaged file costs at most itself: it is named in a `LadderWarning` and
read again the next time, when it may be whole. Nothing is ever unpickled.
"""

from __future__ import annotations

from scaling_callback.ladder.format import FORM, safe_name
from scaling_callback.ladder.store import Ladder
from scaling_callback.ladder.writer import RunWriter

__all__ = ["FORM", "Ladder", "RunWriter", "safe_name"]
