"""What a disk, a person or an attacker may do to files: drawn from a generator, so that a seed gives it again."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

HUGE = "1" + "0" * 5000
NUMBERS = ["1e400", "-1e400", "1e308", "1e-320", "-1", "0", "NaN", "Infinity", HUGE, f"1e{HUGE}", "0x10", "1_0", "--1"]
PATHS = ["../x", "../../x", "/etc/passwd", "..", ".", "", "~", "a/../../b", "x" * 300, "con", "a\0b", "a\nb", "C:\\x"]
TEXTS = [*PATHS, "nan", "inf", "\ud800", "\u202e", "\x1b[31m", "\x7f", "x" * 100_000, "٣", "1e6 ", "true"]
ODD: list[Any] = [
    *(None, True, False, -1, 0, 1e308, 5e-324, 10**400, 2**63, [], {}, [[]], [None], {"a": {}}, [1e6] * 1000),
    *TEXTS,
]
RAW = {f"@{index}@": number for index, number in enumerate(NUMBERS)}
RUN_FOLDERS = [
    *(name.encode() for name in ("a\nb", "\x1b[31m", "-rf", "a b", ".hidden", "con", "x" * 255, "é")),
    b"\xff",
]
NO_SEGMENTS = [
    *("observations-000000.json", "observations-000002-000001.json", "observations-0000000000000001.json"),
    *("observations-999999999999.json", "observations-000001-999999999999.json", "observations-٠٠٠٠٠١.json"),
    *("forecasts-999999.json", "observations-000003.json.tmp", "card.json.1.tmp", "observations-000900.json"),
]


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 100]) if data else 0):
        broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def cut(data: bytes, rng: random.Random) -> bytes:
    begin, end = _slice(data, rng)
    return rng.choice([data[:begin], data[begin:], data[:begin] + data[end:], b""])


def repeat(data: bytes, rng: random.Random) -> bytes:
    begin, end = _slice(data, rng)
    return data[:end] + data[begin:end] * rng.choice([1, 1, 3]) + data[end:]


def insert(data: bytes, rng: random.Random) -> bytes:
    begin, end = _slice(data, rng)
    odd = rng.choice(
        [b"\0", b"\0" * 4096, b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\r", b"\n", b'"', b",", b"\x1a"]
    )
    return data[:begin] + odd + data[rng.choice([begin, end]) :]


def recode(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    return rng.choice(
        [text.encode("utf-16"), text.encode("utf-32"), b"\xef\xbb\xbf" + data, data.swapcase(), data[::-1]]
    )


def nest(data: bytes, rng: random.Random) -> bytes:
    begin, _ = _slice(data, rng)
    depth = rng.choice([100, 990, 5_000, 100_000, 1_000_000])
    deep = rng.choice(
        [b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth, b'{"a":' * depth + b"1" + b"}" * depth]
    )
    return rng.choice([deep, data[:begin] + deep + data[begin:]])


def renumber(data: bytes, rng: random.Random) -> bytes:
    """A number becomes another, as it stands in the file."""
    places = [index for index, byte in enumerate(data) if byte in b"0123456789"]
    if not places:
        return rng.choice(NUMBERS).encode()
    begin = end = rng.choice(places)
    while begin > 0 and data[begin - 1 : begin] in b"0123456789.e+-":
        begin -= 1
    while end < len(data) and data[end : end + 1] in b"0123456789.e+-":
        end += 1
    return data[:begin] + rng.choice(NUMBERS).encode() + data[end:]


def flood(times: int, rng: random.Random) -> bytes:
    """Little text that becomes many objects."""
    start = b'{"schema": 1, "name": "a", "params": 1e6, "parts": ['
    return start + rng.choice([b"{},", b"[],", b"1.5,", b'{"":0},']) * times + b"{}]}"


BYTES: list[Callable[[bytes, random.Random], bytes]] = [flip_bits, cut, repeat, insert, recode, nest, renumber]


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.01:
        return flood(100_000, rng)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        data = rng.choice(BYTES)(data, rng)
    return data


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Values of the wrong type, missing, renamed and doubled keys, anywhere."""
    content = json.loads(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = content
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(place[key], dict | list) and rng.random() < 0.8:
                place = place[key]
                continue
            change = rng.random()
            if change < 0.7:
                place[key] = rng.choice([rng.choice(ODD), rng.choice(list(RAW))])
            elif change < 0.8:
                del place[key]
            elif isinstance(place, dict):
                place[rng.choice(TEXTS)] = place.pop(key)
            else:
                place.append(place[key])
            break
    text = json.dumps(content)
    for mark, number in RAW.items():
        text = text.replace(f'"{mark}"', number)
    if rng.random() < 0.1:
        text = text.replace('"schema": 1', rng.choice(['"schema": 1, "schema": 99', '"schema": 99, "schema": 1']), 1)
    return text.encode()


def mutate_file(path: Path, rng: random.Random, outside: Path) -> None:
    """Another content, far too much of it, or something else than a file in its place."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 2**24:  # mutated before
        return
    data = path.read_bytes()
    change = rng.random()
    if change < 0.45:
        path.write_bytes(mutate_bytes(data, rng))
    elif change < 0.8:
        try:
            path.write_bytes(mutate_json(data, rng))
        except (ValueError, RecursionError):  # mutated before
            path.write_bytes(mutate_bytes(data, rng))
    elif change < 0.83:
        if rng.random() < 0.3:
            path.write_bytes(flood(rng.choice([1_000_000, 4_000_000]), rng))
            return
        with path.open("ab") as file:
            file.truncate(rng.choice([30 * 2**20, 60 * 2**20, 10 * 2**30]))
    else:
        path.unlink()
        place_odd(path, rng, outside)


def place_odd(path: Path, rng: random.Random, outside: Path) -> None:
    """Something that is no file of its own: nothing, a pipe, a folder, a link."""
    targets = [outside / "run" / path.name, outside / "secret.txt", outside, outside / "none", path, Path("/dev/zero")]
    kind = rng.choice(["nothing", "pipe", "folder", *["link"] * 5])
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(rng.choice(targets))


def add_odd(path: Path, rng: random.Random, outside: Path) -> None:
    """A file that nobody wrote, of an odd name."""
    if os.path.lexists(path):
        return
    if rng.random() < 0.5:
        path.write_bytes(rng.choice([b"", b"{}", b'{"schema": 1, "parts": []}']))
    else:
        place_odd(path, rng, outside)


def mutate_folder(ladder: Path, rng: random.Random, outside: Path) -> None:
    """A run's folder is something else, or has another name; or the ladder itself has."""
    runs = sorted(path for path in ladder.iterdir() if path.is_dir() and not path.is_symlink())
    if not runs:
        return
    run = rng.choice(runs)
    change = rng.random()
    if change < 0.3:
        odd = ladder / os.fsdecode(rng.choice(RUN_FOLDERS))
        if not os.path.lexists(odd):
            run.rename(odd)
            if rng.random() < 0.2:
                run.symlink_to(odd)
    elif change < 0.5:
        add_odd(run / rng.choice(NO_SEGMENTS), rng, outside)
    elif change < 0.75:
        shutil.rmtree(run)
        run.symlink_to(rng.choice([outside / "run", outside, outside / "secret.txt", outside / "none", run, ladder]))
    elif change < 0.85:
        shutil.rmtree(run)
        rng.choice([os.mkfifo, Path.touch, Path.mkdir])(run)
    elif not ladder.is_symlink():
        real = ladder.with_name("real-ladder")
        ladder.rename(real)
        ladder.symlink_to(real)


def mutate_ladder(ladder: Path, rng: random.Random, outside: Path) -> None:
    """One to three files or folders of a ladder."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        if rng.random() < 0.15:
            mutate_folder(ladder, rng, outside)
            continue
        runs = [run for run in ladder.iterdir() if run.is_dir() and not run.is_symlink()]
        files = sorted(path for run in runs for path in run.glob("*.json"))
        if files:
            mutate_file(rng.choice(files), rng, outside)


def mutate_table(path: Path, rng: random.Random) -> None:
    """Cells, lines or bytes of a table; now and then it is followed by gigabytes of nothing."""
    data = path.read_bytes()
    if rng.random() < 0.02:
        os.truncate(path, 8 * 2**30)
    elif path.suffix == ".parquet" or rng.random() < 0.4:
        path.write_bytes(mutate_bytes(data, rng))
    else:
        lines = data.splitlines()
        for _ in range(rng.choice([1, 1, 3])):
            number = rng.randrange(len(lines))
            lines[number] = _mutate_line(lines[number], path.suffix, rng)
        path.write_bytes(b"\n".join(lines))


def _mutate_line(line: bytes, suffix: str, rng: random.Random) -> bytes:
    if suffix == ".jsonl":
        try:
            return mutate_json(line, rng)
        except (ValueError, RecursionError):
            return mutate_bytes(line, rng)
    cells = line.split(b",")
    odd = rng.choice([*NUMBERS, *TEXTS]).encode("utf-8", "surrogatepass")
    cells[rng.randrange(len(cells))] = rng.choice([odd, b'"' + odd + b'"', b'"' + odd, b""])
    return b",".join(cells)


def _slice(data: bytes, rng: random.Random) -> tuple[int, int]:
    first, second = rng.randint(0, len(data)), rng.randint(0, len(data))
    return min(first, second), max(first, second)
