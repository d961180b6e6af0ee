"""People whose ids are known: families on one device, kiosks, bots, copied links, call-centre numbers, resets, refusals.

Everything is a function of the seed. Each event knows who really made it (``truth``; null for a bot), which no product table
does. Whoever shares a device without signing in cannot be told apart by anybody; ``sharing`` says how many people share theirs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tasks.core.identifiers import COOKIE_KIND, KINDS, STRONG_KINDS

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 90
EVENTS_PER_SESSION = 4
SESSIONS_PER_PERSON = 4.5
_RNG = np.random.Generator


@dataclass(frozen=True)
class World:
    """Web events and server events, with the ids and the truth of each."""

    web: pl.DataFrame
    server: pl.DataFrame

    @property
    def events(self) -> pl.DataFrame:
        """All events with every id column."""
        return pl.concat([self.web, self.server], how="diagonal")


def _sha(prefix: str, numbers: pl.Series) -> pl.Series:
    """64 hex digits per number, as a hash looks."""
    return pl.Series([hashlib.sha256(f"{prefix}{n}".encode()).hexdigest() if n is not None else None for n in numbers])


def _ids(rng: _RNG, people: int) -> dict[str, np.ndarray]:
    """Who has an account, an e-mail, a phone; which couples share a phone; whom the call centre entered with its own."""
    person = np.arange(people)
    phone = person.copy()
    couple = (person % 33 == 0) & (person + 1 < people)
    phone[person[couple] + 1] = person[couple]  # one landline for two
    email = person.copy()
    email[person % 997 == 0] = -1  # info@ of the shop itself
    phone[person % 499 == 0] = -1  # number of the call centre
    return {
        "has_account": rng.random(people) < 0.6,
        "email": np.where(rng.random(people) < 0.9, email, -2),
        "phone": np.where(rng.random(people) < 0.5, phone, -2),
        "consents": rng.random(people) < 0.88,
    }


def _sessions(rng: _RNG, people: int, sharing: float) -> pl.DataFrame:
    """One row a visit: person, day, cookie, is_signed_in, gclid number or null."""
    count = int(people * SESSIONS_PER_PERSON)
    person = rng.integers(0, people, count)
    day = rng.integers(0, DAYS, count)
    devices = 1 + (person % 20 >= 11).astype(int) + (person % 20 >= 17).astype(int)  # 55 % one, 30 % two, 15 % three
    device = (rng.random(count) * devices).astype(int)
    reset = np.where(person % 3 == 0, day // 45, 0)  # a third lose their cookies half way
    family = person // 3  # some households of three use one tablet for the first device of each
    shares = (family % round(1 / sharing) == 0) & (device == 0)
    cookie = np.where(shares, 10**9 + family, (person * 3 + device) * 2 + reset)
    return pl.DataFrame(
        {
            "person": person,
            "day": day,
            "cookie": cookie,
            "signs_in": rng.random(count) < 0.65,
            "gclid": np.where(rng.random(count) < 0.2, np.arange(count), -1),
        }
    )


def _oddities(rng: _RNG, people: int) -> pl.DataFrame:
    """Kiosks where hundreds sign in once, and links with a click id that strangers open."""
    kiosks = max(2, people // 4000)
    kiosk = np.repeat(np.arange(kiosks), 150)
    links = max(2, people // 3000)
    link = np.repeat(np.arange(links), 40)
    guests, readers = rng.integers(0, people, kiosk.size), rng.integers(0, people, link.size)
    return pl.DataFrame(
        {
            "person": np.concatenate([guests, readers]),
            "day": rng.integers(0, DAYS, guests.size + readers.size),
            "cookie": np.concatenate([2 * 10**9 + kiosk, readers * 6]),
            "signs_in": np.concatenate([rng.random(guests.size) < 0.8, rng.random(readers.size) < 0.5]),
            "gclid": np.concatenate([np.full(guests.size, -1), 10**9 + link]),
        }
    )


def _bots(rng: _RNG, events: int) -> pl.DataFrame:
    """Crawlers: thousands of events a day on one cookie, with click ids copied from people's links."""
    bots = max(1, events // 250_000)
    rows = bots * 5000
    bot = np.repeat(np.arange(bots), 5000)
    return pl.DataFrame(
        {
            "person": pl.Series([None] * rows, dtype=pl.Int64),
            "day": rng.integers(0, DAYS, bots).repeat(5000),
            "cookie": 3 * 10**9 + bot,
            "signs_in": np.zeros(rows, dtype=bool),
            "gclid": np.where(rng.random(rows) < 0.02, 10**9, -1),
        }
    )


def make_world(events: int, seed: int = 7, sharing: float = 0.01) -> World:
    """About ``events`` events of about ``events`` / 19 people, of whom the part ``sharing`` shares its main device."""
    rng = np.random.default_rng(seed)
    people = max(60, int(events / (SESSIONS_PER_PERSON * EVENTS_PER_SESSION + 1)))
    ids = _ids(rng, people)
    visits = pl.concat([_sessions(rng, people, sharing), _oddities(rng, people)])
    web = pl.concat([visits[np.repeat(np.arange(visits.height), EVENTS_PER_SESSION)], _bots(rng, events)])
    number = web["person"].fill_null(0).to_numpy()
    signed_in = web["signs_in"].to_numpy() & ids["has_account"][number]
    minute = rng.integers(0, 24 * 60, web.height)
    web = web.select(
        truth="person",
        event_at=pl.lit(START) + pl.duration(days="day") + pl.duration(minutes=pl.Series(minute)),
        user_pseudo_id=pl.format("{}.1767225600", pl.col("cookie") + 10**9),
        user_id_hash=pl.when(pl.Series(signed_in)).then("person"),
        gclid=pl.when(pl.col("gclid") >= 0).then(pl.format("Cj0K_{}", "gclid")),
        is_analytics_consented=pl.Series(ids["consents"][number]) | pl.col("person").is_null(),
    )
    server = _orders(rng, web, ids, people)
    return World(_hashed(web, ("user_id_hash",)), _hashed(server, ("user_id_hash", "email_sha256", "phone_sha256")))


def _orders(rng: _RNG, web: pl.DataFrame, ids: dict[str, np.ndarray], people: int) -> pl.DataFrame:
    """As many orders as people, reported by the shop's own system; half of them carry a click of the person."""
    person = rng.integers(0, people, people)
    clicked = web.filter(pl.col("gclid").is_not_null() & pl.col("truth").is_not_null())
    click = clicked.unique("truth", keep="first", maintain_order=True).select("truth", "gclid")
    return (
        pl.DataFrame(
            {
                "truth": person,
                "event_at": pl.repeat(START, people, eager=True),
                "day": rng.integers(0, DAYS, people),
                "user_id_hash": np.where(ids["has_account"][person], person, -2),
                "email_sha256": ids["email"][person],
                "phone_sha256": ids["phone"][person],
                "has_click": rng.random(people) < 0.5,
                "is_analytics_consented": ids["consents"][person],
            }
        )
        .join(click, on="truth", how="left", maintain_order="left")
        .with_columns(
            pl.col("user_id_hash", "email_sha256", "phone_sha256").replace(-2, None),
            event_at=pl.col("event_at") + pl.duration(days="day", hours=12),
            gclid=pl.when("has_click").then("gclid"),
        )
        .drop("day", "has_click")
    )


def _hashed(frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    for column in columns:
        numbers = frame[column].unique()
        named = pl.DataFrame({column: numbers, "hash": _sha(column, numbers)})
        frame = frame.join(named, on=column, how="left", maintain_order="left").drop(column).rename({"hash": column})
    return frame


def sightings(events: pl.DataFrame) -> pl.DataFrame:
    """Events grouped as the stored queries group them."""
    kinds = [kind for kind in KINDS if kind in events.columns]
    return (
        events.with_columns(event_date=pl.col("event_at").dt.date())
        .group_by("event_date", "is_analytics_consented", *kinds)
        .agg(first_seen_at=pl.col("event_at").min(), last_seen_at=pl.col("event_at").max(), event_count=pl.len().cast(pl.Int64))
    )


def links(edges: pl.DataFrame) -> pl.DataFrame:
    """Edges of days grouped as ``identity_links`` groups them."""
    return edges.group_by("left_id_kind", "left_id", "right_id_kind", "right_id").agg(
        first_seen_at=pl.col("first_seen_at").min(),
        last_seen_at=pl.col("last_seen_at").max(),
        denied_at=pl.col("denied_at").max(),
        busiest_day_count=pl.col("event_count").max(),
        event_count=pl.col("event_count").sum(),
    )


@dataclass(frozen=True)
class Score:
    """Pairs said to be one person's, against the truth.

    ``recall`` counts the pairs that can be known at all: linked by the person's own consented events. ``recall_of_all`` counts
    every pair of one person, also of cookies on which nobody ever signed in.
    """

    precision: float
    recall: float
    recall_of_all: float
    pairs: int


def _pairs(frame: pl.DataFrame, *by: str) -> float:
    sizes = frame.group_by(by).len()["len"].cast(pl.Float64)
    return float((sizes * (sizes - 1) / 2).sum())


def score(frame: pl.DataFrame) -> Score:
    """Score of a frame of truth (null for a bot), said (person; null for nobody) and knowable, of events or of ids."""
    said = frame.filter(pl.col("said").is_not_null())
    people = frame.filter(pl.col("truth").is_not_null())
    both = said.filter(pl.col("truth").is_not_null())
    claimed, right = _pairs(said, "said"), _pairs(both, "said", "truth")
    found = _pairs(both, "said", "knowable")
    return Score(right / claimed, found / _pairs(people, "knowable"), right / _pairs(people, "truth"), int(claimed))


def score_events(events: pl.DataFrame, persons: pl.DataFrame) -> Score:
    """Pairs of events; ``persons`` is id_kind, id, person."""
    return score(events.select("truth").with_columns(said=resolved(events, persons), knowable=knowable(events)))


def true_pairs(events: pl.DataFrame, persons: pl.DataFrame) -> dict[str, float]:
    """Share of all true pairs of events by what became of them; the shares add up to one.

    Without consent only the cookie may tell, and no id leads from a cookie to the next unless somebody signs in on both: such
    pairs nobody can know. ``protection`` is what could be known and was given up, on devices and ids that several people use.
    """
    strong = [kind for kind in STRONG_KINDS if kind in events.columns]
    rows = events.with_columns(
        said=resolved(events, persons),
        knowable=knowable(events),
        signs_in=pl.any_horizontal(pl.col(kind).is_not_null() for kind in strong) & pl.col("is_analytics_consented"),
    ).filter(pl.col("truth").is_not_null())
    everyone = _pairs(rows, "truth")
    unknown = {}
    for name, is_theirs in (
        ("consent_refused", ~pl.col("is_analytics_consented").any()),
        ("never_signed_in", pl.col("is_analytics_consented").any() & ~pl.col("signs_in").any()),
        ("signed_in_elsewhere", pl.col("is_analytics_consented").any() & pl.col("signs_in").any()),
    ):
        of = rows.filter(is_theirs.over("truth"))
        unknown[name] = (_pairs(of, "truth") - _pairs(of, "knowable")) / everyone
    found = _pairs(rows.filter(pl.col("said").is_not_null()), "said", "knowable") / everyone
    return {"found": found, "protection": 1 - found - sum(unknown.values()), **unknown}


def score_ids(events: pl.DataFrame, persons: pl.DataFrame) -> Score:
    """Pairs of ids seen with consent (cookies also without); an id is of the person who made most of its events."""
    known = events.with_columns(knowable=knowable(events))
    parts = []
    for kind in KINDS:
        if kind in events.columns:
            may_count = pl.col(kind).is_not_null() & (pl.col("is_analytics_consented") | (kind == COOKIE_KIND))
            uses = known.filter(may_count).group_by(pl.col(kind).alias("id"), "truth", "knowable").len()
            main = uses.sort("len", "truth", "knowable").unique("id", keep="last", maintain_order=True)
            parts.append(main.with_columns(id_kind=pl.lit(kind)))
    owners = pl.concat(parts)
    return score(owners.join(persons, on=["id_kind", "id"], how="left").rename({"person": "said"}))


def knowable(events: pl.DataFrame) -> pl.Series:
    """What somebody could know who saw each person alone: components of the ids of the person's own consented events."""
    ids = pl.concat(
        [
            events.select(
                event=pl.int_range(pl.len()),
                name=pl.when(pl.col("is_analytics_consented") | (kind == COOKIE_KIND)).then(
                    pl.format("{}/{}/{}", pl.col("truth").fill_null(-1), pl.lit(kind), pl.col(kind))
                ),
            )
            for kind in KINDS
            if kind in events.columns
        ]
    ).drop_nulls()
    ids = ids.with_columns(node=pl.col("name").rank("dense").cast(pl.Int64) - 1)
    first = ids.group_by("event").agg(pl.col("node").first().alias("first"))
    pairs = ids.join(first, on="event").select("first", "node").unique()
    count = int(ids["node"].max()) + 1  # type: ignore[arg-type]  # there is at least one
    matrix = coo_matrix((np.ones(pairs.height), (pairs["first"].to_numpy(), pairs["node"].to_numpy())), shape=(count, count))
    labels = pl.Series(connected_components(matrix, directed=False)[1])
    of_event = first.select("event", pl.Series("label", labels.gather(first["first"]), dtype=pl.Int64))
    everyone = events.select(event=pl.int_range(pl.len())).join(of_event, on="event", how="left", maintain_order="left")
    return everyone.select(pl.coalesce("label", -1 - pl.col("event"))).to_series().rename("knowable")


def resolved(events: pl.DataFrame, persons: pl.DataFrame) -> pl.Series:
    """Person of each event: that of its first id, in the order of KINDS, that has one; ``persons`` is id_kind, id, person."""
    found = events.select(kind for kind in KINDS if kind in events.columns)
    for kind in found.columns:
        of_kind = persons.filter(pl.col("id_kind") == kind).select(pl.col("id").alias(kind), pl.col("person").alias(f"_{kind}"))
        found = found.join(of_kind, on=kind, how="left", maintain_order="left")
    return found.select(pl.coalesce(pl.col("^_.*$"))).to_series().rename("said")


def day_of(number: int) -> date:
    """Day ``number`` of the world."""
    return date.fromordinal(START.date().toordinal() + number)
