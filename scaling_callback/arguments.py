"""What is typed on a command line, as values. What cannot be one is refused in a line: what, got, do."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from scaling_callback.allocating import Constraints
from scaling_callback.errors import InputError
from scaling_callback.fitting import Borrowed, fewest_replicates
from scaling_callback.records import Target
from scaling_callback.snapshot import Config

SUFFIXES = {"K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}

MOST_REPLICATES = 1_000_000
"""More than this change no digit that is printed, and would fill the memory."""

MOST_SEED = 2**64 - 1


def read_source(value: str) -> str:
    """The name of a table or ladder; an empty one is a variable that was never set, and would be this folder."""
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty; give a table (.csv, .jsonl, .parquet) or a ladder folder")
    return value


def read_number(value: str) -> float:
    """A number as people write it.

    Example:
        >>> read_number("7e9"), read_number("1.5T")
        (7000000000.0, 1500000000000.0)
    """
    scale = SUFFIXES.get(value[-1:].upper(), 1.0)
    try:
        return float(value[:-1] if scale != 1.0 else value) * scale
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number such as 7e9 or 7B") from None


def count_to(most: int) -> Callable[[str], int]:
    """A reader of whole numbers from 0 to `most`, as people write them.

    Example:
        >>> count_to(1000)("1e3")
        1000
    """

    def count(value: str) -> int:
        try:
            number = Decimal(value)  # a float would lose the last digits of a long seed
            if 0 <= number <= most and number == number.to_integral_value():
                return int(number)
        except InvalidOperation:  # no number, or nan, which nothing compares with
            pass
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number from 0 to {most}")

    return count


def read_level(value: str) -> float:
    """The coverage of an interval, between 0 and 1, and no more than any bootstrap can give."""
    try:
        level = Config(level=float(value)).level
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a level between 0 and 1, such as 0.9") from None
    if fewest_replicates(level) > MOST_REPLICATES:
        raise argparse.ArgumentTypeError(
            f"{value!r} is a level that no {MOST_REPLICATES} replicates hold; ask for 0.999"
        )
    return level


def read_borrowed(value: str) -> Borrowed:
    """Parameters of a published fit.

    Example:
        >>> read_borrowed("besiroglu:A,alpha").values
        (('A', 482.01), ('alpha', 0.3478))
    """
    study, _, names = value.partition(":")
    try:
        return Borrowed.published(study.strip(), *(name.strip() for name in names.split(",") if name.strip()))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_budget(value: str) -> float:
    """A budget in FLOPs."""
    flops = read_number(value)
    if not 0 < flops < math.inf:
        raise argparse.ArgumentTypeError(f"{value!r} is not a positive, finite number of FLOPs")
    return flops


def read_tokens(value: str) -> float:
    """A count of tokens."""
    tokens = read_number(value)
    if not 0 < tokens < math.inf:
        raise argparse.ArgumentTypeError(f"{value!r} is not a positive, finite number of tokens")
    return tokens


def read_pair(value: str) -> tuple[str, str]:
    """A column and the value that is wanted of it.

    Example:
        >>> read_pair("data = a=b")
        ('data', 'a=b')
    """
    return _split(value, "COLUMN=VALUE")


def read_mapping(value: str) -> tuple[str, str]:
    """What a column holds, and its name in a table.

    Example:
        >>> read_mapping("loss=val/loss")
        ('loss', 'val/loss')
    """
    name, column = _split(value, "NAME=COLUMN, such as loss=val/loss")
    if not column:
        raise argparse.ArgumentTypeError(f"{value!r} names no column; give NAME=COLUMN, such as loss=val/loss")
    return name, column


def _split(value: str, form: str) -> tuple[str, str]:
    left, equals, right = (part.strip() for part in value.partition("="))
    if not equals or not left:
        raise argparse.ArgumentTypeError(f"{value!r} is not of the form {form}")
    return left, right


def read_project(value: str) -> tuple[str, str]:
    """Entity, which may be empty, and project, as W&B writes them.

    Example:
        >>> read_project("team/ladder"), read_project("ladder")
        (('team', 'ladder'), ('', 'ladder'))
    """
    parts = [part.strip() for part in value.split("/")]
    if len(parts) > 2 or not all(parts):
        raise argparse.ArgumentTypeError(f"{value!r} is neither PROJECT nor ENTITY/PROJECT")
    return (parts[0], parts[1]) if len(parts) == 2 else ("", parts[0])


def read_fixed(value: str) -> tuple[str, float]:
    """N or D that is given beforehand.

    Example:
        >>> read_fixed("tokens=4T")
        ('tokens', 4000000000000.0)
    """
    if "=" not in value:
        raise argparse.ArgumentTypeError(f"{value!r} is not of the form params=7B or tokens=4T")
    name, number = read_further(value)
    if name not in ("params", "tokens"):
        raise argparse.ArgumentTypeError(f"{name} cannot be fixed; give params=N or tokens=D, such as tokens=4T")
    return name, number


def read_shape(value: str) -> tuple[float, float, float]:
    """Layers, width and context of one model of a family.

    Example:
        >>> read_shape("layers=32,width=4096,context=8192")
        (32.0, 4096.0, 8192.0)
    """
    parts = [read_further(part) for part in value.split(",")]
    found = dict(parts)
    if {*found} != {"layers", "width", "context"} or len(parts) != len(found):
        raise argparse.ArgumentTypeError(f"{value!r} is not of the form layers=32,width=4096,context=8192")
    return found["layers"], found["width"], found["context"]


def read_constraints(options: argparse.Namespace) -> Constraints:
    """What a split must heed, of the options of `allocate`.

    Raises:
        InputError: They contradict each other.
    """
    fixed = dict(options.fix)
    if len(fixed) < len(options.fix):
        raise InputError(f"--fix {options.fix[-1][0]} is given twice; give it once")
    return Constraints(
        counting=options.counting or Constraints.counting,
        shape=options.shape,
        inference_tokens=options.inference_tokens,
        fixed_params=fixed.get("params"),
        fixed_tokens=fixed.get("tokens"),
    )


def read_further(value: str) -> tuple[str, float]:
    """A further variable of a law, and its value.

    Example:
        >>> read_further("unique_tokens=200B")
        ('unique_tokens', 200000000000.0)
    """
    name, wanted = read_pair(value)
    number = read_number(wanted)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{name} is {wanted}; it must be a positive, finite number")
    return name, number


def read_shares(value: str) -> tuple[tuple[str, float], ...]:
    """Shares in (0, 1], as typed and as numbers.

    Example:
        >>> read_shares(".5,1")
        (('.5', 0.5), ('1', 1.0))
    """
    found: dict[str, float] = {}
    for part in (text.strip() for text in value.split(",")):
        share = read_number(part)
        if not 0 < share <= 1:
            raise argparse.ArgumentTypeError(f"{part} is no share in (0, 1]; give some, such as 0.25,0.5,1")
        if share in found.values():
            raise argparse.ArgumentTypeError(f"{part} is asked for twice; give each share once")
        found[part] = share
    return tuple(found.items())


def read_split(value: str) -> tuple[float, float]:
    """Two shares A,B with A at most B.

    Example:
        >>> read_split("0.7,0.85")
        (0.7, 0.85)
    """
    begin, comma, end = value.partition(",")
    shares = (read_number(begin), read_number(end)) if comma else (0.0, 0.0)
    if not 0 < shares[0] <= shares[1] < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not of the form A,B with 0 < A <= B < 1, such as 0.7,0.85")
    return shares


def read_target(value: str) -> Target:
    """What the forecast is for.

    Example:
        >>> read_target("params=7B,tokens=4T").compute
        1.68e+23
    """
    fields: dict[str, float] = {}
    for part in value.split(","):
        name, _, wanted = (text.strip() for text in part.partition("="))
        if name not in {"params", "tokens", "flops"} or name in fields:
            raise argparse.ArgumentTypeError(f"{value!r} is not of the form params=7e9,tokens=4e12 or flops=5.9e23")
        fields[name] = read_number(wanted)
    try:
        target = Target(**fields)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0 < target.compute < math.inf:
        raise argparse.ArgumentTypeError(f"{value!r} takes {target.compute:g} FLOPs (6 N D); give plain counts")
    return target


def check_replicates(replicates: int, level: float) -> None:
    """Refuse an interval from too few replicates; 0 asks for none.

    Raises:
        InputError: There are some, and fewer than `fewest_replicates`.
    """
    fewest = fewest_replicates(level)
    if 0 < replicates < fewest:
        raise InputError(
            f"--bootstrap is {replicates}; an interval at level {level:g} needs at least {fewest} replicates, so that "
            "each of its tails holds one: give that many, or 0 for no interval"
        )


def check_output(path: Path, source: str, option: str = "--output", file: str = "report.html") -> None:
    """Refuse, before any work, a place that cannot be written, or that holds what is to be read.

    Raises:
        InputError: It is a folder, lies in none, is SOURCE or lies inside it, or may not be written.
    """
    # what the paths mean in the end, whatever links and dots they were spelled with, and as a URL of this machine
    place, read = Path(os.path.realpath(path)), Path(source.removeprefix("local://").removeprefix("file://"))
    if place.is_dir():
        raise InputError(f"{path} is a folder; give {option} a file in it, such as {path / file}")
    if not place.parent.is_dir():
        raise InputError(
            f"{path} cannot be written: {path.parent} is no folder; make it, or give {option} another path"
        )
    if read.exists() and any(there.samefile(read) for there in (place, *place.parents) if there.exists()):
        raise InputError(f"{path} is SOURCE or lies inside it, where nothing is written; give {option} another path")
    if not os.access(place if place.exists() else place.parent, os.W_OK):
        raise InputError(f"{path} cannot be written (no permission); give {option} a path that can")


def check_suffix(path: Path, suffixes: Iterable[str]) -> str:
    """The suffix of a path in small letters, which says how it is written; the first one where it has none.

    Raises:
        InputError: It is none of `suffixes`.

    Example:
        >>> check_suffix(Path("report.MD"), (".html", ".md")), check_suffix(Path("report"), (".html", ".md"))
        ('.md', '.html')
    """
    known = tuple(suffixes)
    suffix = path.suffix.lower() or known[0]
    if suffix not in known:
        raise InputError(f"{path} ends in {suffix}, which no report does; give --output a name in {', '.join(known)}")
    return suffix
