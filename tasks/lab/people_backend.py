"""What the shop's own systems deliver beside the website's GA4 export: server events in clear, and who is in which arm.

``server_events/server_events_YYYYMMDD.ndjson`` holds the day's purchases and sign-ups as a backend sends them: e-mail and phone
in clear and as people write them, some deliveries twice. ``experiments/<experiment>.csv`` is the lot's list so far. Both are
what ``aelp2 ingest-events`` and ``aelp2 import-assignments`` take. The persons do not exist: names are made up, phone numbers lie
in the 555 exchange that no network gives out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from tasks.lab.files import write_private
from tasks.lab.people import People
from tasks.lab.people_events import cookie_ids, mix, session_frame
from tasks.lab.people_experiment import SEGMENTS

if TYPE_CHECKING:
    import polars as pl

FIRST_NAMES = ("maria", "james", "aisha", "chen", "olga", "peter", "lucia", "samuel", "ines", "tom", "nora", "david")
LAST_NAMES = ("lopez", "miller", "khan", "wang", "ivanova", "novak", "rossi", "cohen", "silva", "baker", "larsen", "okafor")
DOMAINS = ("gmail.com", "gmail.com", "example.com", "example.org", "mail.example.net")
AREA_CODES = (
    201,
    206,
    212,
    213,
    215,
    303,
    305,
    312,
    313,
    404,
    415,
    503,
    512,
    602,
    612,
    617,
    619,
    702,
    713,
    718,
    804,
    813,
    901,
    917,
)
PHONE_SHARE = 0.5  # of the buyers
TWICE_EVERY = 50  # events, one is delivered twice
AS_OF = "made_by.txt"
COLUMNS = ("experiment_id", "unit_id_kind", "unit_id", "arm", "is_randomised", "assigned_date", "propensity", "segment")


def email_of(number: int, style: int) -> str:
    """Address of the person with the random ``number``; ``style`` decides how it is written this time."""
    first, last = FIRST_NAMES[number % 12], LAST_NAMES[number // 12 % 12]
    domain = DOMAINS[number // 144 % len(DOMAINS)]
    local = f"{first}.{last}{number // 720 % 100_000_000:08d}"
    if domain == "gmail.com" and style % 4 == 1:
        local = f"{local.replace('.', '')}+acme"
    address = f"{local}@{domain}"
    return (address, address, address.upper(), f" {address.title()}")[style % 4]


def phone_of(number: int, style: int) -> str:
    """Phone of the person with the random ``number``, as typed this time."""
    area, line = AREA_CODES[number % len(AREA_CODES)], number // 97 % 10_000
    forms = ("+1{area}555{line:04d}", "+1 ({area}) 555-{line:04d}", "+1 {area}.555.{line:04d} ext. 2")
    return forms[style % 3].format(area=area, line=line)


def server_events(people: People, day: int, time_zone: str) -> list[dict[str, Any]]:
    """Records of ``day`` (index) in the order in which they happened, each as ``aelp2 ingest-events`` takes it."""
    import polars as pl

    market = people.market
    sessions = people.sessions(day)
    frame = session_frame(sessions, market.layout.campaigns, market.date_of(day), time_zone, market.seed)
    signs_up = sessions.is_signed_in & ~sessions.is_purchase & (sessions.lag == 0)
    wanted = frame.with_columns(
        pl.Series("person", sessions.person),
        pl.Series("number", (mix(sessions.person, 2 * market.seed + 6) >> np.uint64(1)).astype(np.int64)),
        pl.Series("style", (mix(sessions.person + day, 2 * market.seed + 7) >> np.uint64(1)).astype(np.int64)),
        pl.Series("is_wanted", sessions.is_purchase | signs_up),
    ).filter("is_wanted")
    found = []
    for row in wanted.iter_rows(named=True):
        record = _record(row, ZoneInfo(time_zone), market.world.currency)
        found += [record] * (2 if row["style"] % TWICE_EVERY == 0 else 1)
    return found


def _record(row: dict[str, Any], zone: ZoneInfo, currency: str) -> dict[str, Any]:
    """One event; the cookie and the click id travel only with consent to measurement."""
    buys = row["is_purchase"]
    micros = row["begin"] + (3 * 24_000_000 + 11_000_000 if buys else 15_000_000)
    at = datetime.fromtimestamp(micros // 1_000_000, UTC) + timedelta(microseconds=micros % 1_000_000)
    name = "purchase" if buys else "sign_up"
    number, style = row["number"], row["style"]
    record = {
        "event_id": f"{name}-{row['transaction_id']}",
        "event_name": name,
        "event_time": at.astimezone(zone).isoformat(),
        "user_id": row["user_id"],
        "email": email_of(number, style),
        "consent_ads": "granted" if row["ads_consent"] else "denied",
        "consent_analytics": bool(row["analytics_consent"]),
    }
    if row["analytics_consent"]:
        record |= {key: row[key] for key in ("user_pseudo_id", "gclid") if row[key] is not None}
    if buys:
        record |= {"transaction_id": row["transaction_id"], "value": round(row["value"], 2), "currency": currency}
        if number // 7 % 100 < PHONE_SHARE * 100:
            record["phone"] = phone_of(number, style)
    return record


def assignments(people: People, today: int) -> pl.DataFrame | None:
    """Rows of the experiment's file with everybody assigned before day ``today``; None where the world has no experiment."""
    import polars as pl

    trial = people.trial
    if trial is None:
        return None
    parts = [units for day in range(trial.first, min(trial.last + 1, today)) if (units := trial.units(day)) is not None]
    frames = [
        pl.DataFrame(
            {
                "unit_id": cookie_ids(units.visit["cookie"], people.market.seed),
                "arm": np.where(units.is_treated, "treatment", "control").tolist(),
                "segment": [SEGMENTS[index] for index in units.segment.tolist()],
            },
            schema={"unit_id": pl.String, "arm": pl.String, "segment": pl.String},
        ).with_columns(pl.lit(people.market.date_of(units.day)).alias("assigned_date"))
        for units in parts
    ]
    if not frames:
        return None
    return (
        pl.concat(frames)
        .with_columns(
            pl.lit(trial.settings.id).alias("experiment_id"),
            pl.lit("user_pseudo_id").alias("unit_id_kind"),
            pl.lit("true").alias("is_randomised"),
            pl.lit(trial.settings.treated_share).alias("propensity"),
        )
        .select(COLUMNS)
    )


@dataclass
class BackendFiles:
    """Writes what the shop's systems deliver below ``folder`` as it lies there on a morning.

    Args:
        people: of a market simulated up to the day before the morning.
        folder: holds ``server_events`` and ``experiments``.
        days: days of server events before the first morning.
    """

    people: People
    folder: Path
    days: int

    @property
    def server_events(self) -> Path:
        """Folder of the events, one NDJSON file a day."""
        return self.folder / "server_events"

    @property
    def experiments(self) -> Path:
        """Folder of the experiments, one CSV each."""
        return self.folder / "experiments"

    def write(self, today: date) -> None:
        """Bring the files up to the morning of ``today``: the days that are missing, and the lot's list so far."""
        market = self.people.market
        for path in (self.server_events, self.experiments):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        until = (today - market.start).days
        made_by = self.server_events / AS_OF
        is_ours = made_by.exists() and made_by.read_text(encoding="utf-8") == self.people.fingerprint
        for day in range(max(0, market.history_days - self.days), until):
            file = self.server_events / f"server_events_{market.date_of(day):%Y%m%d}.ndjson"
            if not (is_ours and file.exists()):
                records = server_events(self.people, day, market.world.accounts[0].time_zone)
                write_private(file, "".join(json.dumps(record) + "\n" for record in records))
        write_private(made_by, self.people.fingerprint)
        found = assignments(self.people, until)
        if found is not None:
            write_private(self.experiments / f"{found['experiment_id'][0]}.csv", found.write_csv())
