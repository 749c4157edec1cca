"""What a part of the bench gives: tables, targets that are met or missed, and both as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """How much is measured: rounds for one and for ten hosts, documents in the ledger."""

    rounds_one: int = 9
    rounds_ten: int = 5
    documents: int = 100_000


@dataclass(frozen=True)
class Target:
    """A claim with its limit; met when the measured value is at most that."""

    claim: str
    measured: float
    limit: float
    unit: str = "x"

    @property
    def met(self) -> bool:
        return self.measured <= self.limit

    def cells(self) -> list[str]:
        return [self.claim, self._said(self.measured), f"at most {self._said(self.limit)}", self.verdict]

    @property
    def verdict(self) -> str:
        return "pass" if self.met else "SHORT"

    def _said(self, value: float) -> str:
        number = f"{value:,.0f}" if self.unit == "bytes" else f"{value:.2f}"
        return f"{number} {self.unit}"


@dataclass(frozen=True)
class Table:
    """Rows under headings, with a line that says what they are."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table with aligned columns, so that it can be read in a terminal too."""
        lines = [list(self.headings), *(list(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]
        padded = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        return "\n".join([*([self.caption, ""] if self.caption else []), padded[0], rule, *padded[1:]])


@dataclass
class Section:
    """What one part found."""

    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def markdown(self) -> str:
        parts = ["\n".join(f"- {note}" for note in self.notes)] if self.notes else []
        if self.targets:
            headings = ("target", "measured", "limit", "")
            parts.append(Table("Targets:", headings, [target.cells() for target in self.targets]).markdown())
        parts += [table.markdown() for table in self.tables]
        return "\n\n".join(parts) + "\n"
