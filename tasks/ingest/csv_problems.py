"""What is wrong with a person's table: every problem names row, column, value and remedy; all of them are shown at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks.core.errors import JobError

SHOWN = 20  # more would scroll the first, usually decisive, ones off a terminal
PER_COLUMN = 3  # one wrong decimal sign breaks every row of a column: three examples say it


@dataclass(frozen=True)
class Problem:
    """One defect. ``line`` is the line in the file (the header is line 1); None if it concerns the file as a whole."""

    message: str
    remedy: str
    line: int | None = None
    column: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        """One line: where, what, value, remedy."""
        where = [f"row {self.line}"] if self.line is not None else []
        where += [f"column {self.column!r}"] if self.column is not None else []
        value = f": {self.value!r}" if self.value is not None else ""
        return f"{', '.join(where) or 'file'}: {self.message}{value}. {self.remedy}"


@dataclass
class Problems:
    """Problems and warnings found so far in one file."""

    file: str
    found: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    hidden: int = 0

    def add(
        self, message: str, remedy: str, *, line: int | None = None, column: str | None = None, value: str | None = None
    ) -> None:
        """Note one defect; after ``PER_COLUMN`` of a kind in a column the rest is only counted."""
        alike = sum(1 for p in self.found if p.column == column and p.message == message)
        if alike >= PER_COLUMN:
            self.hidden += 1
            return
        self.found.append(Problem(message, remedy, line, column, value))

    def count_hidden(self, more: int) -> None:
        """Count ``more`` defects that are like ones already shown."""
        self.hidden += max(more, 0)

    def stop_if_any(self) -> None:
        """JobError with all problems, at most ``SHOWN`` spelled out."""
        if not self.found:
            return
        total = len(self.found) + self.hidden
        lines = [f"  {problem}" for problem in self.found[:SHOWN]]
        more = total - len(lines)
        tail = [f"  … and {more} more like these"] if more else []
        head = f"{self.file}: {total} problem{'s' if total != 1 else ''}; nothing was written"
        raise JobError("\n".join([head, *lines, *tail]))
