"""Answers in words for a terminal: the verdict first, laid out on so many columns; colours are the terminal's."""
