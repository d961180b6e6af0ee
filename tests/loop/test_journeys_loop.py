"""The journeys' half of the loop on what the sandbox delivers, by the real command line: the truth is found, the people are not.

M14 end to end: addresses and numbers in clear are planted in everything that comes in (server events, page addresses, parameters,
names of files, an experiment's list). After every job has run, each byte they left is searched: all tables, the DuckDB file, the
logs, what jobs hand on, the report.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loop_world import CLI, HISTORY_DAYS, RUN_DATE, START_DATE, Stage, prepare

from tasks.core.personal import hash_email
from tasks.lab.process import sandbox_process

OUTCOME_DAYS = 28
PLANTED_DAY = RUN_DATE - timedelta(days=6)
EMAILS = ("Zoë.Planted+Shop@Planted-Mail.example", "jane.planted+acme@gmail.com")
PHONES = ("+1 (415) 555-0134", "+442079460958")
# Whatever way they are written: as they came, encoded for an address, and the parts that give the person away.
PARTS = ("planted-mail", "jane.planted", "janeplanted", "4155550134", "415.555.0134", "555-0134", "2079460958", "20 7946 0958")


def forms(value: str) -> set[str]:
    """Spellings in which ``value`` could have been kept, in lower case."""
    encoded = {
        quote(value),
        quote_plus(value),
        quote(value, safe=""),
        quote(quote(value, safe=""), safe=""),
        json.dumps(value)[1:-1],
    }
    return {form.lower() for form in (value, *encoded, re.sub(r"[ ()-]", "", value))}


NEEDLES = sorted({form for value in (*EMAILS, *PHONES) for form in forms(value)} | set(PARTS))


def plant_server_events(folder: Path) -> None:
    """Good events with planted people, and bad ones with an address or a number in every other column."""
    good = {
        "event_name": "purchase",
        "event_time": f"{PLANTED_DAY}T10:00:00-05:00",
        "user_id": EMAILS[1],
        "transaction_id": f"order of {EMAILS[0]}",
        "value": 12.5,
        "currency": "USD",
        "consent_ads": "granted",
        "consent_analytics": True,
    }
    rows = [
        good
        | {"event_id": f"{EMAILS[0]}-{n}", "email": (EMAILS[n % 2], EMAILS[n % 2].upper())[n // 2 % 2], "phone": PHONES[n % 2]}
        for n in range(60)
    ]
    columns = ("event_name", "event_time", "gclid", "user_pseudo_id", "value", "currency")
    rows += [good | {"event_id": f"bad-{n}", column: (*EMAILS, *PHONES)[n % 4]} for n, column in enumerate(columns)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"events of {EMAILS[1]} {PLANTED_DAY}.ndjson").write_text(text, encoding="utf-8")


def _with_plants(row: int, params: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parameters of an event with an address in its page address and others of a kind that sites send by mistake."""
    email, phone = EMAILS[row % 2], PHONES[row % 2]
    empty = {"string_value": None, "int_value": None, "float_value": None, "double_value": None}
    query = f"?email={(email, quote_plus(email), quote_plus(email).upper())[row % 3]}&tel={quote_plus(phone)}"
    changed = [
        p | {"value": p["value"] | {"string_value": f"{p['value']['string_value']}{query}"}}
        if p["key"] in ("page_location", "page_title")
        else p
        for p in params
    ]
    more = {
        "phone": phone,
        "email": email,
        "page_referrer": f"https://shop.example/{quote(email)}",
        "campaign": f"mail to {email}",
    }
    kept = [p for p in changed if p["key"] != "campaign"]
    return kept + [{"key": key, "value": empty | {"string_value": value}} for key, value in more.items()]


def plant_website(export: Path) -> None:
    """One event in ten of one day carries planted people, in parameters, in the user id and in the campaign's name."""
    (file,) = export.glob(f"*/events_{PLANTED_DAY:%Y%m%d}.parquet")
    table = pq.read_table(file)
    hit = [row % 10 == 0 for row in range(table.num_rows)]
    params = [_with_plants(n, p) if hit[n] else p for n, p in enumerate(table["event_params"].to_pylist())]
    user = [EMAILS[n % 2] if hit[n] else u for n, u in enumerate(table["user_id"].to_pylist())]
    traffic = [
        t | {"manual_campaign_name": f"win back {EMAILS[n % 2]}"} if hit[n] and t else t
        for n, t in enumerate(table["collected_traffic_source"].to_pylist())
    ]
    for name, values in (("event_params", params), ("user_id", user), ("collected_traffic_source", traffic)):
        column = pa.array(values, type=table.schema.field(name).type)
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, file)


@dataclass(frozen=True)
class Journeys:
    """What is left after all jobs: the stage, and the folder of logs and handed-on values."""

    stage: Stage
    left: Path

    def job(self, name: str, *arguments: str, code: int = 0) -> str:
        """Run ``aelp2 name`` with its output in a log of its own; the text."""
        number = len(list(self.left.glob("*.log")))
        log = self.left / f"{number:02}-{name}.log"
        env = self.stage.env() | {
            "AELP2_XCOM_FILE": str(self.left / f"{number:02}-{name}.json"),
            "AELP2_REPORT_DIR": str(self.left / "reports"),
        }
        with log.open("wb") as out:
            command = [str(CLI), "--log-level", "DEBUG", name, "--run-date", RUN_DATE.isoformat(), *arguments]
            done = subprocess.run(command, env=env, cwd=self.left, stdout=out, stderr=out, check=False)
        said = log.read_text(encoding="utf-8")
        assert done.returncode == code, f"{name}: {done.returncode}\n{said}"
        return said

    def tables(self) -> dict[str, str]:
        """Every table that the file holds, as one text each."""
        with duckdb.connect(str(self.stage.folder / "w.duckdb"), read_only=True) as connection:
            names = connection.sql("SELECT table_schema, table_name FROM information_schema.tables ORDER BY ALL").fetchall()
            return {
                f"{schema}.{name}": "\n".join(map(str, connection.sql(f'SELECT * FROM "{schema}"."{name}"').fetchall()))
                for schema, name in names
            }


def run_all(journeys: Journeys, planted: Path) -> None:
    """Every job of the journeys' DAGs, a plan and the report."""
    (planted / "bad.csv").write_text(
        "experiment_id,unit_id_kind,unit_id,arm,is_randomised,assigned_date,propensity\n"
        f"lot,user_pseudo_id,{EMAILS[1]},treatment,true,{PLANTED_DAY},0.5\n"
        f"lot,user_pseudo_id,{PHONES[1]},control,true,{PLANTED_DAY},0.5\n",
        encoding="utf-8",
    )
    journeys.job("ingest-ga4")
    journeys.job("ingest-events")
    journeys.job("validate-tables", "--for", "ingest-ga4")
    journeys.job("stitch-identities")
    journeys.job("build-journeys")
    journeys.job("estimate-maturity")
    journeys.job("attribute-conversions")
    journeys.job("import-assignments")
    journeys.job("import-assignments", str(planted / "bad.csv"), code=1)
    journeys.job("validate-tables", "--for", "fit-uplift")
    journeys.job("fit-uplift", "--replicates", "20")
    journeys.job("plan-audiences")
    prepare(journeys.stage)  # ads and a model, for a plan and a page that tells of all
    journeys.job("plan-budgets")
    request = planted / "request"
    request.write_text(EMAILS[0], encoding="utf-8")
    journeys.job("forget", "--email", "--why", "request 17", "--file", str(request))
    journeys.job("report")


@pytest.fixture(scope="module")
def journeys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journeys]:
    folder = tmp_path_factory.mktemp("journeys")
    state = {"state_dir": folder / "sandbox", "start_date": START_DATE, "history_days": HISTORY_DAYS}
    with sandbox_process(world="acme", ga4_days=45, **state) as sandbox:
        for name in ("work", "left", "planted"):
            (folder / name).mkdir()
        stage = Stage(folder / "work", sandbox)
        plant_server_events(Path(sandbox.endpoint["server_events"]))
        plant_website(Path(sandbox.endpoint["ga4_export"]))
        found = Journeys(stage, folder / "left")
        run_all(found, folder / "planted")
        yield found
        stage.stop()


@pytest.fixture(scope="module")
def tables(journeys: Journeys) -> dict[str, str]:
    return journeys.tables()


def test_the_true_effect_of_the_holdout_is_found(journeys: Journeys) -> None:
    """The world's true effect of each segment and of all lies inside the 95 % interval, and none of these reaches zero."""
    truth = journeys.stage.sandbox.admin.experiment_truth((RUN_DATE - timedelta(days=OUTCOME_DAYS)).isoformat())["segments"]
    rows = journeys.stage.warehouse.query(
        "SELECT segment, treated_units + control_units AS units, effect_kind, ate_p025, ate_p975 "
        "FROM models.uplift_segment_daily WHERE method = 'aipw'"
    )
    assert set(rows["segment"]) == set(truth) == {"new", "returning", "all"}
    for row in rows.iter_rows(named=True):
        name = row["segment"]
        assert (row["units"], row["effect_kind"]) == (truth[name]["units"], "causal"), name
        assert 0 < row["ate_p025"] < truth[name]["true_effect"] < row["ate_p975"], name


def test_people_of_both_sources_are_one(journeys: Journeys) -> None:
    """Server events were stitched to the website's cookies: the larger part of the e-mails has a person with a cookie."""
    nodes = journeys.stage.warehouse.query(
        "SELECT person_id, id_kind FROM gaelp_users.identity_nodes WHERE person_id IS NOT NULL"
    )
    with_cookie = nodes.filter(pl.col("id_kind") == "user_pseudo_id")["person_id"].unique()
    mails = nodes.filter(pl.col("id_kind") == "email_sha256")
    assert mails.height > 1000
    assert mails["person_id"].is_in(with_cookie.implode()).mean() > 0.8  # type: ignore[operator]  # a mean of bools


def test_the_report_shows_the_qini_curve(journeys: Journeys) -> None:
    """The page of the run has the experiment with its curve and says that the effect is causal."""
    (page,) = (journeys.left / "reports").glob("*.html")
    text = page.read_text(encoding="utf-8")
    assert "remarketing_holdout" in text
    assert "Qini" in text


def test_the_planted_people_went_through_all_of_it(journeys: Journeys, tables: dict[str, str]) -> None:
    """Or the search below would prove nothing: hashes of theirs are in the tables, and what was bad is quarantined."""
    assert hash_email(EMAILS[1]) in tables["gaelp_users.server_events"]
    assert hash_email(EMAILS[1]) in tables["gaelp_users.identity_nodes"]
    assert tables["control.quarantine"].count("gaelp_users.server_events") >= 6
    assert len([name for name, text in tables.items() if text]) > 30
    assert "looks like an address or a phone number" in "".join(log.read_text() for log in journeys.left.glob("*.log"))
    source = b"".join(file.read_bytes() for file in Path(journeys.stage.sandbox.endpoint["server_events"]).iterdir()).lower()
    assert all(json.dumps(value)[1:-1].lower().encode() in source for value in (*EMAILS, *PHONES))


def test_no_byte_that_is_left_tells_of_a_planted_person(journeys: Journeys, tables: dict[str, str]) -> None:
    """M14: no table, file, log, handed-on value or page holds an address or a number in any spelling."""
    left = {f"table {name}": text.encode() for name, text in tables.items()}
    for folder in (journeys.stage.folder, journeys.left):
        left |= {str(file.relative_to(folder.parent)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert {"work/w.duckdb", "left/00-ingest-ga4.log", "left/01-ingest-events.json"} <= set(left)
    assert any(name.endswith(".html") for name in left)
    found = [
        (name, needle)
        for name, content in left.items()
        for lower in (content.lower(),)
        for needle in NEEDLES
        if needle.encode() in lower
    ]
    assert not found, found
