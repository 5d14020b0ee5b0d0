"""What the site needs beyond Sphinx: the command line from its own parser, and figures in the page's own colours."""

from __future__ import annotations

import argparse
import inspect
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from scaling_callback.commands import make_parser
from scaling_callback.stopping import RULES, Rule

FIGURES = "figures/"


class Commands(Directive):
    """Every command with its options, read from the parser that reads what is typed: it cannot go stale."""

    def run(self) -> list[nodes.Node]:
        """The sections of the commands, and one of the options that most of them have."""
        parsers = list_commands(make_parser())
        shared = find_shared(parsers.values())
        written = [*write_commands(parsers, shared)]
        parent = nodes.section()
        self.state.nested_parse(StringList(written, source="commands"), 0, parent, match_titles=True)
        return parent.children


def list_commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands, by name."""
    (found,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    return dict(found.choices)


def find_shared(parsers: Collection[argparse.ArgumentParser]) -> set[str]:
    """What most commands have in the same words."""
    counted = Counter(_name(action) + _say(action) for parser in parsers for action in _actions(parser))
    return {words for words, times in counted.items() if times > len(parsers) / 2 and words.startswith("-")}


def write_commands(parsers: dict[str, argparse.ArgumentParser], shared: set[str]) -> Iterator[str]:
    """The page as lines of Markdown."""
    for name, parser in parsers.items():
        needed = [_name(action) for action in _actions(parser) if action.required]
        usage = " ".join([parser.prog, *needed, "[OPTION ...]"])
        yield from (f"## {name}", "", f"{parser.description}", "", "```text", usage, "```", "")
        own = [action for action in _actions(parser) if _name(action) + _say(action) not in shared]
        yield from _table(own)
        if len(_actions(parser)) - len(own) < len(shared):
            yield from ("Of the options of most commands it takes none.", "")
        if parser.epilog:
            yield from ("```text", *parser.epilog.splitlines(), "```", "")
    yield from ("## Options of most commands", "")
    first = next(iter(parsers.values()))
    yield from _table(action for action in _actions(first) if _name(action) + _say(action) in shared)


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != "help"]  # noqa: SLF001


def _table(actions: Iterable[argparse.Action]) -> list[str]:
    rows = [f"| `{_bar(_name(action))}` | {_bar(_say(action))} |" for action in actions]
    return ["| option | |", "| --- | --- |", *rows, ""] if rows else []


def _bar(text: str) -> str:
    """Text in a cell of a table, which a bar would end."""
    return text.replace("|", r"\|")


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest)
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    if action.metavar is None and action.choices is not None:
        return f"{', '.join(action.option_strings)} CHOICE"
    return f"{', '.join(action.option_strings)} {action.metavar or action.dest.upper()}"


def _say(action: argparse.Action) -> str:
    words = (action.help or "") % {**vars(action), "prog": "scaling-callback"}
    if action.choices is not None:
        words += "; one of " + ", ".join(f"`{choice}`" for choice in action.choices)
    if action.required and action.option_strings:
        words += " (required)"
    return words.replace("|", "\\|")


class Settings(Directive):
    """Every stopping rule with its settings: defaults from the fields, words from the docstrings."""

    def run(self) -> list[nodes.Node]:
        """One table."""
        parent = nodes.section()
        self.state.nested_parse(StringList([*write_settings()], source="settings"), 0, parent)
        return parent.children


def write_settings() -> Iterator[str]:
    """The table as lines of Markdown; what a rule has alone comes before what all have."""
    yield from ("| rule | setting | default | |", "| --- | --- | --- | --- |")
    shared = describe_attributes(Rule)
    for name, words in shared.items():
        yield f"| every rule | `{name}` | | {_bar(words)} |"
    for kind in RULES.values():
        said = describe_attributes(kind)
        for each in sorted(fields(kind), key=lambda each: each.name in shared):
            default = "" if each.default is None else f"{each.default:g}"
            yield f"| `{kind.__name__}` | `{each.name}` | {default} | {_bar(said.get(each.name, ''))} |"


def describe_attributes(kind: type) -> dict[str, str]:
    """What the docstring of a class says of each attribute, by name."""
    _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("\nAttributes:\n")
    section, _, _ = re.sub(r"^    ", "", section, flags=re.MULTILINE).partition("\n\n")
    found = re.findall(r"^(\w+): (.*(?:\n .*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}


def inline_figures(_app: Any, document: nodes.document) -> None:
    """Put the drawings of `figures/` beside a page into the page itself, where they take its colours and its font."""
    folder = Path(document["source"]).parent
    for image in list(document.findall(nodes.image)):
        if image["uri"].startswith(FIGURES):
            svg = (folder / image["uri"]).read_text(encoding="utf-8")
            alt = escape(image.get("alt", ""))
            svg = re.sub(
                r'<svg [^>]*viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{alt}">', svg, count=1
            )
            image.replace_self(nodes.raw("", f'<span class="figure-inline">{svg}</span>', format="html"))


def spare_bars(_app: Any, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Keep the absolute values of docstrings, |d|, from being read as substitutions."""
    lines[:] = [re.sub(r"\|(\w+)\|", r"\\|\1\\|", line) for line in lines]


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("commands", Commands)
    app.add_directive("settings", Settings)
    # before Sphinx collects images, at 500, which would copy them as files
    app.connect("doctree-read", inline_figures, priority=400)
    app.connect("autodoc-process-docstring", spare_bars)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
