"""import-assignments: a good file replaces its experiment, a bad one says all that is wrong and changes nothing."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from tasks.cli import cli
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.forgotten import forgotten_hash
from tasks.core.settings import load_settings
from tasks.core.warehouse import Warehouse, open_warehouse

HEADER = "experiment_id,unit_id_kind,unit_id,arm,is_randomised,assigned_at,propensity,segment"
SPEND = [
    *("--channel", "YOUTUBE", "--treatment-spend", "1200.5", "--control-spend", "0"),
    *("--currency", "EUR", "--spend-days", "28", "--coverage", "0.5"),
]


def row(n: int, **changes: str) -> str:
    cells = {
        "experiment_id": "holdout",
        "unit_id_kind": "user_pseudo_id",
        "unit_id": f"{n}.{n}",
        "arm": "control" if n % 2 else "treatment",
        "is_randomised": "true",
        "assigned_at": "2026-02-01T00:30:00+01:00",
        "propensity": "0.5",
        "segment": "new",
    } | changes
    return ",".join(cells.values())


def table(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows]) + "\n"


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    (tmp_path / "salt").write_text("s" * 64)
    (tmp_path / "salt").chmod(0o600)
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NAME_SALT_FILE", str(tmp_path / "salt"))
    monkeypatch.setenv("AELP2_NOW", "2026-03-02T06:00:00+00:00")
    return open_warehouse(load_settings())


@pytest.fixture
def load(warehouse: Warehouse, tmp_path: Path) -> Callable[..., Result]:
    def call(content: str | bytes, *options: str) -> Result:
        path = tmp_path / "holdout.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return CliRunner().invoke(cli, ["import-assignments", str(path), "--run-date", "2026-03-02", *options])

    return call


def held(warehouse: Warehouse) -> pl.DataFrame:
    columns = ", ".join(load_contract("gaelp_users.experiment_assignments").columns)
    return warehouse.query(f"SELECT {columns} FROM gaelp_users.experiment_assignments ORDER BY experiment_id, unit_id")


def test_a_good_file_lands_with_its_days_in_utc(warehouse: Warehouse, load: Callable[..., Result]) -> None:
    """Half past midnight in Berlin is the day before in UTC; the experiment's size and cost stand in a row of their own."""
    result = load(gzip.compress(table(*(row(n) for n in range(4))).encode()), *SPEND)
    assert result.exit_code == 0, result.output
    assert "4 units (user_pseudo_id), 2 treatment and 2 control, 2026-01-31 to 2026-01-31, assigned by lot" in result.output
    frame = held(warehouse)
    assert [str(day) for day in frame["assigned_date"].unique()] == ["2026-01-31"]
    assert frame.select("unit_id", "arm", "propensity", "segment", "is_randomised").row(1) == ("1.1", "control", 0.5, "new", True)
    experiment = warehouse.query("SELECT units, channel, treatment_spend_micros, coverage_ratio FROM gaelp_users.experiments")
    assert experiment.rows() == [(4, "YOUTUBE", 1_200_500_000, 0.5)]


def test_a_file_with_days_and_without_a_lot_lands_as_such(warehouse: Warehouse, load: Callable[..., Result]) -> None:
    """Exposed against unexposed has no propensity, and the answer says what will come of it."""
    header = HEADER.replace("assigned_at", "assigned_date")
    rows = (row(n, is_randomised="false", assigned_at="2026-02-03", propensity="", segment="") for n in range(4))
    result = load(table(*rows, header=header))
    assert "NOT by lot: effects will be labelled observational" in result.output
    assert held(warehouse).select("is_randomised", "propensity", "segment").unique().rows() == [(False, None, None)]


def test_again_replaces_the_experiment_and_leaves_others_alone(warehouse: Warehouse, load: Callable[..., Result]) -> None:
    """Units that are gone from the file are gone from the table, whatever day they had."""
    load(table(*(row(n) for n in range(6))))
    load(table(*(row(n, experiment_id="other") for n in range(4))))
    assert load(table(*(row(n, assigned_at="2026-02-05T00:00:00Z") for n in range(2)))).exit_code == 0
    assert held(warehouse).group_by("experiment_id").len().sort("experiment_id").rows() == [("holdout", 2), ("other", 4)]


@pytest.mark.parametrize("kind", ["user_pseudo_id", "person_id"])
def test_people_who_were_forgotten_stay_out(kind: str, warehouse: Warehouse, load: Callable[..., Result]) -> None:
    """A forgotten person's unit is left out and counted, whether the experiment names cookies or persons."""
    units = [f"{n}.{n}" if kind == "user_pseudo_id" else f"{n:032x}" for n in range(4)]
    schema = load_contract("gaelp_users.forgotten_ids").polars_schema()
    now = pl.Series(["2026-02-01T00:00:00Z"]).str.to_datetime("%+", time_unit="us", time_zone="UTC")[0]
    gone = {
        "id_kind": kind,
        "id_hash": forgotten_hash(kind, units[1], b"s" * 64),
        "run_date": now.date(),
        "why": "request 7",
        "forgotten_at": now,
    }
    warehouse.append("gaelp_users.forgotten_ids", pl.DataFrame([gone], schema=schema))
    rows = (row(n, unit_id_kind=kind, unit_id=unit) for n, unit in enumerate(units))
    assert "1 of forgotten people left out" in load(table(*rows)).output
    assert held(warehouse)["unit_id"].to_list() == [units[0], *units[2:]]


GOOD = [row(0), row(1)]
BAD: dict[str, tuple[str, str]] = {
    "bad arm": (table(*GOOD, row(2, arm="Treated")), "row 4, column 'arm': no arm: 'Treated'. Write treatment or control"),
    "unit twice": (table(*GOOD, row(0, arm="control")), "row 4, column 'unit_id': the unit stands in row 2 already"),
    "one arm": (table(row(0), row(2)), "no unit is in the arm control"),
    "no lot": (table(*GOOD, row(2, is_randomised="yes")), "neither true nor false: 'yes'"),
    "empty": (table(*GOOD, row(2, unit_id="")), "row 4, column 'unit_id': an empty cell"),
    "mixed ids": (table(*GOOD, row(2, experiment_id="b")), "mixed experiments: row 2 says 'holdout': 'b'"),
    "mixed units": (table(*GOOD, row(2, unit_id_kind="person_id", unit_id="a" * 32)), "mixed units: row 2"),
    "mixed lots": (table(*GOOD, row(2, is_randomised="false", propensity="")), "mixed ways of assigning"),
    "sure": (table(*GOOD, row(2, propensity="1")), "no probability between 0 and 1: '1'"),
    "nan": (table(*GOOD, row(2, propensity="NaN")), "no probability between 0 and 1: 'NaN'"),
    "no odds": (table(*GOOD, row(2, propensity="")), "an empty cell of a randomised experiment"),
    "odds": (table(*(row(n, is_randomised="false") for n in range(2))), "given though nothing was randomised"),
    "naive": (table(*GOOD, row(2, assigned_at="2026-02-01T10:00:00")), "no time with an offset: '2026-02-01T10:00:00'"),
    "no time": (table(*GOOD, row(2, assigned_at="2026-02-31T10:00:00Z")), "no time: '2026-02-31T10:00:00Z'"),
    "future": (table(*GOOD, row(2, assigned_at="2026-03-02T10:00:00Z")), "on or after the run date"),
    "1970": (table(*GOOD, row(2, assigned_at="1970-01-01T10:00:00Z")), "before 2015-01-01"),
    "person": (table(*GOOD, row(2, unit_id_kind="person_id")), "column 'unit_id': no person_id"),
    "fields": (table(*GOOD, "a,b"), "row 4: the row has 2 fields, the header 8"),
    "missing": (table(*GOOD, header=HEADER.replace("arm", "group")), "column 'arm': the header lacks this column"),
    "unknown": (table(*GOOD, header=HEADER.replace("arm", "group")), "column 'group': no column of an experiment"),
    "times": (table(*GOOD, header=HEADER.replace("segment", "assigned_date")), "the header says the time twice"),
    "no rows": (HEADER + "\n", "has a header and no rows"),
    "nothing": ("", "is empty"),
    "sql": (table(*GOOD, row(2, segment="'; DROP TABLE x")), "no name of a segment"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_says_what_is_wrong_and_changes_nothing(warehouse: Warehouse, load: Callable[..., Result], name: str) -> None:
    """Row, column, value and remedy are named, and the experiment of yesterday stands as it was."""
    load(table(*GOOD))
    before = held(warehouse)
    content, message = BAD[name]
    result = load(content)
    assert isinstance(result.exception, JobError), result.output
    assert message in str(result.exception)
    assert held(warehouse).equals(before)


@pytest.mark.parametrize("unit", ["jane.doe@example.com", "+49 170 1234567"])
def test_an_address_in_the_place_of_a_unit_is_refused_and_never_repeated(load: Callable[..., Result], unit: str) -> None:
    """Clear personal data is refused by row and column, and the message does not hold it (M14)."""
    result = load(table(*GOOD, row(2, unit_id=unit)))
    assert "row 4, column 'unit_id': looks like an address or a phone number" in str(result.exception)
    assert unit not in str(result.exception) + result.output


def test_all_problems_are_shown_at_once_and_the_many_are_counted(load: Callable[..., Result]) -> None:
    """Three examples of a kind are spelled out, the rest counted."""
    error = str(load(table(*GOOD, *(row(n, arm="x", segment="'") for n in range(2, 12)))).exception)
    assert "20 problems; nothing was written" in error
    assert error.count("no arm") == error.count("no name of a segment") == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SPEND[:2], "--treatment-spend, --control-spend, --currency, --spend-days, --coverage missing"),
        ([*SPEND[:-1], "1.5"], "--coverage lies above 0 and at most at 1"),
        ([*SPEND[:-1], "nan"], "--coverage lies above 0"),
        (["euros" if o == "EUR" else o for o in SPEND], "three capital letters"),
    ],
)
def test_a_cost_that_is_not_whole_is_refused(load: Callable[..., Result], options: list[str], message: str) -> None:
    """The options of the cost come together, and each has a range."""
    assert message in str(load(table(*GOOD), *options).exception)


def test_check_only_writes_nothing(warehouse: Warehouse, load: Callable[..., Result]) -> None:
    assert "nothing was written (--check-only)" in load(table(*GOOD), "--check-only").output
    assert held(warehouse).is_empty()
