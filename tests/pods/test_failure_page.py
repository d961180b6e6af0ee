"""docs/runbooks/failure_kinds.md says what the code does."""

import re
from pathlib import Path

from aelp2_airflow.exit_codes import FINAL, MEANING, NOTHING_TO_DO, failure
from aelp2_airflow.failure_kinds import FIRST_STEP, Kind, of_exit_code
from airflow.sdk.exceptions import AirflowFailException

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "runbooks" / "failure_kinds.md").read_text(encoding="utf-8")


def _rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_page_has_every_exit_code() -> None:
    """Code, meaning, kind and whether it is tried again, as the plugin decides."""
    rows = {row[0]: row[1:] for row in _rows("Exit codes of a job")}
    assert {int(code) for code in rows if code.isdigit()} == {0, *MEANING}
    for code, meaning in MEANING.items():
        said, kind, again = rows[str(code)]
        assert said == meaning
        if code != NOTHING_TO_DO:
            assert (kind, again) == (f"`{of_exit_code(code)}`", "no" if code in FINAL else "yes")
            assert isinstance(failure("fit-mmm", code), AirflowFailException) == (code in FINAL)
    assert rows["another"] == ["unexpected", "`unknown`", "yes"]


def test_the_codes_are_those_of_the_program() -> None:
    """`aelp2 --help` names them, from 0 to 99."""
    words = " ".join((ROOT / "tasks" / "cli.py").read_text(encoding="utf-8").split())
    named = re.search(r"Exit codes: ([^.]+)\.", words)
    assert named is not None
    assert {int(code) for code in re.findall(r"\d+", named[1])} == {0, *MEANING} - {137, 143}  # those two are signals


def test_the_page_has_every_kind() -> None:
    """Each with what is seen and what to do; the alert has a first step for each."""
    assert {row[0].strip("`") for row in _rows("Kinds")} == {str(kind) for kind in Kind} == {str(kind) for kind in FIRST_STEP}
    assert all(len(row) == 4 and all(row) for row in _rows("Kinds"))
