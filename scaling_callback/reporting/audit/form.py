"""The form of a ladder, `card.yaml`: written once with every question, read with the answers of whoever filled it in.

Nothing in it is ever constructed: it is composed by the safe loader, and each answer is taken as it was written, so
that `no` stays a word and `3e9` a number with its letters.
"""

from __future__ import annotations

import textwrap
from typing import Any, cast

from scaling_callback.errors import InputError
from scaling_callback.reporting.audit.questions import QUESTIONS

LARGEST = 2**18
"""Bytes: far more than anybody answers."""

SHOWN = 40
"""Characters of what somebody wrote that an error repeats."""

HEAD = """\
What a reviewer asks of a scaling study and only you can say: the reporting checklist of Li et al. 2025 ((Mis)Fitting, \
arXiv 2502.18969). Write an answer behind its key, in quotes where it holds a colon or a #, or on indented lines below a
key that ends in ": >". What stays empty stays asked. The report reads it; nothing overwrites it."""


def write_form() -> str:
    r"""The empty form: a comment and a key for each question.

    Example:
        >>> print(write_form().split("\n\n")[1])
        # 2. Which loss is L?
        metric:
    """
    head = [f"# {line}" for line in textwrap.wrap(HEAD, 110)]
    asked = [f"# {question.number}. {question.text}\n{question.key}:\n" for question in QUESTIONS.values()]
    return "\n".join([*head, "", *asked])


def read_form(data: bytes, name: str) -> dict[str, str]:
    r"""The answers by key; a question that is not answered is absent.

    Args:
        data: The file.
        name: What an error calls it.

    Raises:
        InputError: It is no such form; one line that names file, line and key.

    Example:
        >>> read_form(b"corpus: c4\naveraging: no\nmetric:\n", "card.yaml")
        {'corpus': 'c4', 'averaging': 'no'}
        >>> read_form(b"corpsu: c4", "card.yaml")
        Traceback (most recent call last):
        scaling_callback.errors.InputError: card.yaml line 1: 'corpsu' is no key of the form; did you mean 'corpus'?
    """
    if len(data) > LARGEST:
        raise InputError(
            f"{name} line 1: it holds more than {LARGEST} bytes, as no form does; give the file that you filled in"
        )
    root = _compose(data, name)
    if root is None:  # nothing but comments
        return {}
    if not _is(root, "map"):
        raise InputError(f"{name} line {_line(root)}: it holds no keys; write each answer as `key: answer`")
    answers: dict[str, str] = {}
    seen: set[str] = set()
    for key, value in cast("list[tuple[Any, Any]]", root.value):
        where = f"{name} line {_line(key)}"
        if not isinstance(key.value, str) or key.value not in QUESTIONS:
            raise InputError(f"{where}: {_show(key.value)} is no key of the form{_suggest(key.value)}")
        if key.value in seen:
            raise InputError(f"{where}: {key.value!r} stands there twice; keep one of them")
        seen.add(key.value)
        if not isinstance(value.value, str) or value.tag.rpartition(":")[2] not in _TEXTS:
            raise InputError(f"{where}: the answer to {key.value!r} is no text; write it in quotes")
        if not _is(value, "null") and value.value.strip():
            answers[key.value] = value.value.strip()
    return answers


_TEXTS = ("str", "int", "float", "bool", "null", "timestamp", "merge", "value")
"""What YAML may take a word for; here it is the word."""


def _compose(data: bytes, name: str) -> Any:
    import yaml

    try:
        return cast("Any", yaml).compose(data.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{name} line {line}: it is no UTF-8 text; save it as UTF-8") from None
    except RecursionError:
        raise InputError(f"{name}: it is nested too deeply for a form; write each answer as `key: answer`") from None
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" line {error.problem_mark.line + 1}"
        what = " ".join(str(error.problem or error.context or "broken").split())
        raise InputError(f"{name}{line}: it is no YAML ({what}); put the answer there in quotes") from None
    except yaml.YAMLError as error:  # a character that YAML has not
        text = data.decode("utf-8-sig")
        line = text[: getattr(error, "position", 0)].count("\n") + 1
        raise InputError(f"{name} line {line}: it holds a character that is no text; delete it") from None


def _is(node: Any, kind: str) -> bool:
    return node.tag == f"tag:yaml.org,2002:{kind}"


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _show(value: Any) -> str:
    return repr(value if len(value) <= SHOWN else value[:SHOWN]) if isinstance(value, str) else "a list or mapping"


def _suggest(value: Any) -> str:
    import difflib

    close = difflib.get_close_matches(value, QUESTIONS, n=1) if isinstance(value, str) and len(value) < SHOWN else []
    return f"; did you mean {close[0]!r}?" if close else f"; it has: {', '.join(QUESTIONS)}"
