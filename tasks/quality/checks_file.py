"""The format of ``include/sql/<dataset>/<table>/checks.sql``.

A section is one check: a line ``#fail name`` (critical: it stops the line) or ``#warn name``, a line ``#remedy`` with what a
person should do, then one SELECT in BigQuery's dialect that returns the offending rows. ``#`` starts a comment in BigQuery, so a
section can be pasted into its console as it is. The parameters are those of :data:`PARAMETERS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tasks.core.contracts import SQL_ROOT
from tasks.core.errors import JobError

Severity = Literal["critical", "warning"]

# run_date: day of the gate; start_date: first day of its window; source: `platforms` or an import, as fit-mmm takes it;
# outcome_source: the source of outcomes and controls that belongs to it (`crm`, or the same import).
PARAMETERS = frozenset({"run_date", "start_date", "source", "outcome_source"})
_HEADER = re.compile(r"^#(fail|warn)\s+([a-z][a-z0-9_]*)\s*$")
_REMEDY = re.compile(r"^#remedy\s+(\S.*)$")


@dataclass(frozen=True)
class SqlCheck:
    """One check: ``sql`` returns the offending rows."""

    table: str
    name: str
    severity: Severity
    remedy: str
    sql: str

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the ``@parameters`` the SQL uses."""
        return frozenset(re.findall(r"@([a-z_]+)", self.sql))


def parse_checks(table: str, text: str) -> list[SqlCheck]:
    """The checks in the ``text`` of a checks.sql; JobError names the section that breaks the format."""
    sections: list[tuple[str, str, list[str], list[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        header, remedy = _HEADER.match(line), _REMEDY.match(line)
        if header:
            sections.append((header[1], header[2], [], []))
        elif line.startswith("#") and not remedy:
            raise JobError(f"{table}/checks.sql line {number}: {line!r} is none of `#fail name`, `#warn name`, `#remedy text`")
        elif not sections:
            if line.strip() and not line.startswith("--"):
                raise JobError(f"{table}/checks.sql line {number}: SQL before the first `#fail name` or `#warn name`")
        elif remedy:
            sections[-1][2].append(remedy[1].strip())
        else:
            sections[-1][3].append(line)
    checks: list[SqlCheck] = []
    for kind, name, remedies, lines in sections:
        sql = "\n".join(lines).strip().removesuffix(";")
        bare = re.sub(r"--[^\n]*", "", sql).strip()
        if not remedies or not re.match(r"(SELECT|WITH)\b", bare) or ";" in bare:
            raise JobError(f"{table}/checks.sql: check {name!r} needs a #remedy line and exactly one SELECT")
        check = SqlCheck(table, name, "critical" if kind == "fail" else "warning", " ".join(remedies), sql)
        unknown = check.parameters - PARAMETERS
        if unknown or name in {c.name for c in checks}:
            raise JobError(f"{table}/checks.sql: check {name!r} is there twice or uses unknown parameters {sorted(unknown)}")
        checks.append(check)
    return checks


def load_checks(table: str) -> list[SqlCheck]:
    """The checks of ``dataset.table``; none if the table has no checks.sql."""
    path = SQL_ROOT / table.replace(".", "/") / "checks.sql"
    return parse_checks(table, path.read_text(encoding="utf-8")) if path.is_file() else []
