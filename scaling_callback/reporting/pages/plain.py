"""A report as JSON: the values of its blocks by their keys, and never a number that JSON has not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from scaling_callback.reporting.pages import blocks
from scaling_callback.reporting.pages.blocks import Block, Report, Section
from scaling_callback.reporting.rendering.plotly import write_plotly
from scaling_callback.reporting.results import to_json_values


def write_json(report: Report) -> str:
    """The report as one JSON object.

    Example:
        >>> from scaling_callback.reporting.pages.blocks import Section, Words
        >>> section = Section("runs", "Runs", (Words("There are none."),))
        >>> json.loads(write_json(Report("A", "There is no forecast.", "", "", None, (section,))))["runs"]
        {'title': 'Runs', 'says': ['There are none.']}
    """
    text = json.dumps(to_json_values(describe_report(report)), allow_nan=False, ensure_ascii=False, indent=1)
    # a name read from JSON may hold half of a surrogate pair, which no file can
    return text.encode("utf-8", "replace").decode("utf-8") + "\n"


def describe_report(report: Report) -> dict[str, Any]:
    """The same as plain data: each section under its key, with its sentences and each of its blocks."""
    sections = (*((report.summary,) if report.summary else ()), *report.sections)
    return {
        "title": report.title,
        "verdict": report.verdict,
        "comparison": report.comparison or None,
        "caution": report.caution or None,
        **{section.key: _describe_section(section) for section in sections},
    }


def _describe_section(section: Section) -> dict[str, Any]:
    said: dict[str, Any] = {"title": section.title, "says": []}
    for block in section.blocks:
        for key, value in _DESCRIBERS[type(block)](block).items():
            # parts of one list stand under headings of their own
            said[key] = [*said[key], *value] if key in said and isinstance(value, list) else value
    return said


def _describe_table(table: blocks.Table) -> dict[str, Any]:
    return {table.key: [{column.key: row[column.key].value for column in table.columns} for row in table.rows]}


def _describe_facts(facts: blocks.Facts) -> dict[str, Any]:
    return {facts.key: {**facts.values, **{fact.key: fact.cell.value for fact in facts.facts}}}


def _describe_words(words: blocks.Words) -> dict[str, Any]:
    return {"equation": words.text} if words.kind == "equation" else {"says": [words.text], **words.values}


def _describe_reasons(reasons: blocks.Reasons) -> dict[str, Any]:
    return {reasons.key: [{"name": name, "sentence": sentence} for name, sentence in reasons.reasons]}


def _describe_pictures(pictures: blocks.Pictures) -> dict[str, Any]:
    named = ("name", "title", "caption", "alt")
    figures = [
        {**{name: getattr(figure, name) for name in named}, "plotly": write_plotly(figure)}
        for figure in pictures.figures
    ]
    return {pictures.key: figures}


def _describe_entries(entries: blocks.Entries) -> dict[str, Any]:
    return {entries.key: [dict(entry.values) for entry in entries.entries]}


def _describe_heading(_: blocks.Heading) -> Mapping[str, Any]:
    return {}


_DESCRIBERS: dict[type[Block], Callable[[Any], Mapping[str, Any]]] = {
    blocks.Table: _describe_table,
    blocks.Facts: _describe_facts,
    blocks.Words: _describe_words,
    blocks.Heading: _describe_heading,
    blocks.Reasons: _describe_reasons,
    blocks.Pictures: _describe_pictures,
    blocks.Entries: _describe_entries,
}
"""What each kind of block says."""
