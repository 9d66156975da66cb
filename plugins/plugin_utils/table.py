# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Rows of text as lines of equal columns."""

from __future__ import annotations

from collections.abc import Sequence


def lines(rows: Sequence[Sequence[str]], *, ruled: bool = False) -> list[str]:
    """A line for each row, the first of which is the head; with ``ruled``, dashes under it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rules = [["-" * width for width in widths]] if ruled else []
    shown = [rows[0], *rules, *rows[1:]]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]
