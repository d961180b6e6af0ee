"""Four public tables through the real commands: import, gate, fit, review, plan, report."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from shared_data import shared_file

from tasks.core.warehouse.duckdb import DuckDBWarehouse

FOUR = ("channel_0", "channel_1", "channel_2", "channel_3")
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass(frozen=True)
class Table:
    """One brought table: the file, its shipped map (and source), what it explains and the day after it ends."""

    file: str
    source: str
    target: str
    run_date: str
    channels: tuple[str, ...]
    fit: tuple[str, ...] = ()  # options of fit-mmm; the defaults where none are named


TABLES = {
    table.source: table
    for table in (
        Table(
            "robyn/dt_simulated_weekly.csv", "robyn_weekly", "revenue", "2019-11-18", ("tv", "ooh", "print", "facebook", "search")
        ),
        Table("meridian/national_media.csv", "meridian_national", "new_customers", "2024-01-22", FOUR),
        # Twenty regions: three years at the default draws take minutes and tell nothing more than half of it.
        Table(
            "meridian/geo_media.csv", "meridian_geo", "new_customers", "2024-01-22", FOUR,
            ("--window-weeks", "80", "--draws", "200"),
        ),
        Table(
            "mmm_recovery/small_business.csv", "small_business", "revenue", "2022-01-02",
            ("Search-Ads", "Social-Media", "Local-Ads", "Email"),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Done:
    """A table after all commands: what they said, and where warehouse and report lie."""

    table: Table
    said: dict[str, str]
    folder: Path

    def rows(self, name: str) -> pl.DataFrame:
        """All rows of a table of the warehouse."""
        return DuckDBWarehouse(self.folder / "w.duckdb").query(f"SELECT * FROM {name}")


def _aelp2(folder: Path, run_date: str, *arguments: str) -> str:
    """Standard output of the command; the test fails with both streams unless it ends with 0."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AELP2_")} | {
        "AELP2_DUCKDB_PATH": str(folder / "w.duckdb"),
        "AELP2_REPORT_DIR": str(folder),
        "AELP2_NAME_SALT_FILE": str(folder / "salt"),
        "AELP2_NOW": f"{run_date}T06:00:00+00:00",
    }
    program = str(Path(sys.executable).with_name("aelp2"))
    ended = subprocess.run(
        [program, *arguments, "--run-date", run_date], env=env, capture_output=True, text=True, check=False, cwd=folder
    )
    assert ended.returncode == 0, f"{arguments} ended with {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module", params=TABLES)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """All commands on one table, each in its own process."""
    table = TABLES[request.param]
    file = shared_file(table.file)
    folder = tmp_path_factory.mktemp(table.source)
    which = ("--source", table.source)
    explains = (*which, "--target", table.target)
    commands = {
        "import-csv": (str(file), "--map", table.source),
        "validate-tables": ("--for", "fit-mmm", *which),
        "fit-mmm": (*explains, *table.fit),
        "review-mmm": explains,
        "plan-budgets": explains,
        "report": which,
    }
    return Done(table, {name: _aelp2(folder, table.run_date, name, *rest) for name, rest in commands.items()}, folder)


class _Tags(HTMLParser):
    """Refuses a page whose tags do not close in order; counts tags and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> at {self.getpos()} closes nothing"
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()} closes another tag"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_brought_numbers_become_curves_a_plan_and_a_report(done: Done) -> None:
    """Every channel has a rising curve with an interval, a decision with its reason, and a place in the report."""
    table = done.table
    review = done.said["review-mmm"]
    assert "verdict PASS; it is live now" in review or "verdict REVIEW; it is live now" in review
    run = done.rows("models.mmm_runs").row(0, named=True)
    assert run["r_hat_max"] <= 1.02
    assert run["ess_min"] >= 300
    assert run["divergences"] == 0
    curves = done.rows("models.mmm_curves")
    assert set(curves["channel"]) == set(table.channels)
    for channel in table.channels:
        curve = curves.filter(channel=channel).sort("spend_micros")
        assert curve["outcome_mean"][0] == pytest.approx(0, abs=1e-9)
        assert (curve["outcome_mean"].diff().drop_nulls() >= 0).all()
        assert (curve["outcome_p05"] <= curve["outcome_mean"]).all()
    decisions = done.rows("control.plan_decisions")
    assert sorted(decisions["budget_id"]) == sorted(table.channels)
    assert decisions["detail"].str.len_chars().min() > 20


def test_the_report_of_brought_numbers_opens(done: Done) -> None:
    """One well-formed page with a drawing and every channel's name, and nothing that is fetched from elsewhere."""
    page = (done.folder / f"report-{done.table.source}-{done.table.run_date}.html").read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    assert tags.count["html"] == 1
    assert tags.count["svg"] >= 1
    text = "".join(tags.text)
    assert [channel for channel in done.table.channels if channel not in text] == []
    assert tags.count.get("script", 0) == 0


@pytest.mark.parametrize("done", ["small_business"], indirect=True)
def test_the_known_truth_of_small_business_is_recovered(done: Done) -> None:
    """Median relative ROAS error at most 10 %, all four true values inside the 94 % interval, ranking right."""
    truth = json.loads(shared_file("mmm_recovery/small_business_truth.json").read_text(encoding="utf-8"))["Local"]
    found = {row["channel"]: row for row in done.rows("models.mmm_allocations").to_dicts()}
    errors = sorted(abs(found[channel]["roas_mean"] / truth[channel] - 1) for channel in truth)
    assert (errors[1] + errors[2]) / 2 <= 0.10
    assert [c for c in truth if not found[c]["roas_p03"] <= truth[c] <= found[c]["roas_p97"]] == []
    assert sorted(truth, key=truth.__getitem__) == sorted(truth, key=lambda c: found[c]["roas_mean"])


def test_a_table_fitted_again_is_the_same_run(done: Done) -> None:
    """The second fit-mmm on unchanged data says so, samples nothing and leaves one run; review and plan stay as they are."""
    table = done.table
    before = {name: len(done.rows(name)) for name in ("models.mmm_runs", "models.mmm_draws", "control.plan_decisions")}
    said = _aelp2(done.folder, table.run_date, "fit-mmm", "--source", table.source, "--target", table.target, *table.fit)
    assert "same data and configuration were fitted before; reused" in said
    _aelp2(done.folder, table.run_date, "review-mmm", "--source", table.source, "--target", table.target)
    _aelp2(done.folder, table.run_date, "plan-budgets", "--source", table.source, "--target", table.target)
    assert before == {name: len(done.rows(name)) for name in before}
