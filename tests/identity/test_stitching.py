"""Who is who: ids of one event belong together, and whatever several people share glues nobody together."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from identity.people_world import links, make_world, score_events, score_ids, sightings

from tasks.core.identifiers import KINDS
from tasks.identity.edges import edges_of
from tasks.identity.stitching import Limits, Stitching, components

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHORT = {"user": "user_id_hash", "mail": "email_sha256", "phone": "phone_sha256", "cookie": "user_pseudo_id", "click": "gclid"}
SCHEMA: dict[str, Any] = {
    **dict.fromkeys(KINDS, pl.String),
    "event_at": pl.Datetime("us", "UTC"),
    "is_analytics_consented": pl.Boolean,
}


def events(*rows: str) -> pl.DataFrame:
    """One event a row, an hour apart: ``"cookie=a user=1"``; ``no`` says that consent was refused."""
    made = []
    for hour, row in enumerate(rows):
        words = row.split()
        ids = {SHORT[kind]: value for kind, value in (word.split("=") for word in words if "=" in word)}
        made.append({"event_at": START + timedelta(hours=hour), "is_analytics_consented": "no" not in words, **ids})
    return pl.DataFrame(made, schema=SCHEMA)


def stitched(frame: pl.DataFrame, **limits: float) -> pl.DataFrame:
    return Stitching(links(edges_of(sightings(frame))), Limits(**limits)).run()  # type: ignore[arg-type]  # numbers by name


def persons(frame: pl.DataFrame, **limits: float) -> tuple[list[set[str]], dict[str, str]]:
    """(ids of each person, reason by id left out), kinds written short."""
    short = {kind: name for name, kind in SHORT.items()}
    nodes = stitched(frame, **limits)
    groups: dict[int, set[str]] = {}
    reasons = {}
    for kind, value, group, reason in nodes.select("id_kind", "id", "group", "excluded_reason").iter_rows():
        name = f"{short[kind]}={value}"
        if group is not None:
            groups.setdefault(group, set()).add(name)
        if reason is not None:
            reasons[name] = reason
    return sorted(groups.values(), key=sorted), reasons


def test_union_find_connects_what_is_connected() -> None:
    """Chains, circles and lone numbers: each gets the smallest number it is connected with."""
    assert components(7, [(5, 6), (1, 2), (2, 5), (1, 6), (3, 3)]) == [0, 1, 1, 3, 4, 1, 1]
    assert components(0, []) == []


def test_ids_of_one_event_belong_together() -> None:
    """A sign-in joins cookie and user, an order joins user, e-mail and phone, a click joins the cookie: one person."""
    frame = events("cookie=a click=g", "cookie=a user=1", "cookie=b user=1", "user=1 mail=m phone=p", "cookie=c")
    everything = {"cookie=a", "cookie=b", "click=g", "user=1", "mail=m", "phone=p"}
    assert persons(frame) == ([everything, {"cookie=c"}], {})


def test_a_click_joins_an_offline_conversion_to_the_cookie() -> None:
    """The order knows only click and e-mail, the cookie only the click."""
    assert persons(events("cookie=a click=g", "mail=m click=g")) == ([{"click=g", "cookie=a", "mail=m"}], {})


def test_a_cookie_reset_is_bridged_by_signing_in() -> None:
    """Old and new cookie are one person if both signed in, and strangers if not."""
    assert persons(events("cookie=a user=1", "cookie=b user=1"))[0] == [{"cookie=a", "cookie=b", "user=1"}]
    assert persons(events("cookie=a user=1", "cookie=b"))[0] == [{"cookie=a", "user=1"}, {"cookie=b"}]


def test_a_shared_device_glues_nobody() -> None:
    """Two people sign in on one tablet: two persons, the tablet is nobody's; their own devices stay theirs."""
    frame = events("cookie=t user=1", "cookie=t user=2", "cookie=a user=1", "cookie=b user=2")
    assert persons(frame) == ([{"cookie=a", "user=1"}, {"cookie=b", "user=2"}], {"cookie=t": "shared_device"})


def test_one_guest_does_not_take_a_device_from_its_owner() -> None:
    """With nearly all sign-ins a device stays its owner's; the guest stays a person of his own."""
    frame = events(*["cookie=a user=1"] * 40, "cookie=a user=2")
    assert persons(frame) == ([{"cookie=a", "user=1"}, {"user=2"}], {})


def test_a_kiosk_does_not_glue_a_thousand_people() -> None:
    """A thousand sign-ins of a thousand people on one cookie: a thousand persons."""
    groups, reasons = persons(events(*[f"cookie=k user={n}" for n in range(1000)]))
    assert (len(groups), {len(group) for group in groups}, reasons) == (1000, {1}, {"cookie=k": "shared_device"})


def test_a_click_that_shows_another_account_makes_the_device_shared() -> None:
    """One member signs in, the other's order carries a click made on the same device."""
    frame = events("cookie=t user=1", "cookie=t click=g", "mail=other click=g")
    assert persons(frame)[1] == {"cookie=t": "shared_device"}
    assert persons(frame)[0] == [{"click=g", "mail=other"}, {"user=1"}]


def test_a_copied_link_glues_nobody() -> None:
    """A click id in a link that strangers open belongs to nobody."""
    frame = events("cookie=a click=g", "cookie=b click=g", "cookie=a user=1", "cookie=b user=2")
    groups, reasons = persons(frame)
    assert (groups, reasons) == ([{"cookie=a", "user=1"}, {"cookie=b", "user=2"}], {"click=g": "shared_click"})


def test_one_order_click_of_two_people_is_shared() -> None:
    """Two orders of two people carry one click id."""
    assert persons(events("mail=m click=g", "mail=n click=g")) == ([{"mail=m"}, {"mail=n"}], {"click=g": "shared_click"})


def test_a_shared_phone_or_mailbox_glues_nobody() -> None:
    """A couple's landline and the shop's own address: the users stay apart, each with what is theirs alone."""
    frame = events("user=1 phone=home mail=m", "user=2 phone=home", *[f"user={n} mail=info" for n in range(3, 7)])
    groups, reasons = persons(frame)
    assert groups == [{"mail=m", "user=1"}, {"user=2"}, {"user=3"}, {"user=4"}, {"user=5"}, {"user=6"}]
    assert reasons == {"phone=home": "shared_contact", "mail=info": "shared_contact"}


def test_a_user_id_of_staff_glues_no_customers() -> None:
    """An account under which staff enter orders has many e-mails: the customers stay apart."""
    groups, reasons = persons(events(*[f"user=staff mail={n}" for n in range(11)]))
    assert (len(groups), reasons) == (11, {"user=staff": "shared_account"})


def test_a_test_account_glues_no_cookies() -> None:
    """An account seen on hundreds of cookies is nobody's."""
    groups, reasons = persons(events(*[f"user=demo cookie={n}" for n in range(4)]), cookies_per_account=3)
    assert (len(groups), reasons) == (4, {"user=demo": "shared_account"})


def test_a_chain_of_accounts_falls_apart() -> None:
    """Users joined two by two through e-mails do not become one person without end."""
    frame = events(*[f"user={n} mail={n}-{n + 1}" for n in range(9)], *[f"user={n + 1} mail={n}-{n + 1}" for n in range(9)])
    groups, reasons = persons(frame)
    assert groups == [{f"user={n}"} for n in range(10)]
    assert set(reasons.values()) == {"too_many_accounts"}
    assert len(persons(frame, users_per_account=10)[0]) == 1


def test_a_person_has_no_thousand_ids() -> None:
    """What hangs on an account beyond all measure is cut off; the account itself stays."""
    groups, reasons = persons(events("user=1 mail=m", *[f"user=1 cookie={n}" for n in range(12)]), ids_per_person=10)
    assert groups == [{"mail=m", "user=1"}]
    assert set(reasons.values()) == {"person_too_large"}


def test_a_bot_is_nobody() -> None:
    """A cookie with more events a day than a person can make, whatever else it carries."""
    frame = events(*["cookie=bot click=g"] * 12, "cookie=a click=h")
    assert persons(frame, events_per_cookie_day=10)[1] == {"cookie=bot": "bot"}


def test_without_consent_nothing_goes_beyond_the_cookie() -> None:
    """Neither user id nor click of such an event is known at all; the cookie is a person of its own."""
    assert persons(events("cookie=a user=1 click=g no")) == ([{"cookie=a"}], {"cookie=a": "no_consent"})


def test_consent_withdrawn_takes_the_cookie_back_out() -> None:
    """Once the newest event says no, what was joined before is joined no longer; a new yes joins it again."""
    before = ("cookie=a user=1", "cookie=b user=1")
    assert persons(events(*before, "cookie=a no")) == ([{"cookie=a"}, {"cookie=b", "user=1"}], {"cookie=a": "no_consent"})
    assert persons(events(*before, "cookie=a no", "cookie=a"))[1] == {}


def test_a_kiosk_stays_shared_whatever_its_last_visitor_said() -> None:
    """Refusing on a shared device does not make one person of all who used it."""
    assert persons(events("cookie=k user=1", "cookie=k user=2", "cookie=k no"))[1] == {"cookie=k": "shared_device"}


IDS = st.tuples(
    *[st.sampled_from([None, *(f"{short}={n}" for n in range(4))]) for short in SHORT], st.sampled_from(["", "", "", "no"])
).map(lambda words: " ".join(word for word in words if word))


@pytest.mark.slow
@hypothesis_settings(max_examples=40, deadline=None)
@given(st.lists(IDS, min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_every_id_is_in_one_place_and_order_does_not_matter(rows: list[str], chance: random.Random) -> None:
    """Each id has one row, a person or a reason; two accounts meet only over ids of persons; days in any order give the same."""
    frame = events(*rows)
    nodes = stitched(frame)
    assert not nodes.select("id_kind", "id").is_duplicated().any()
    shared = pl.col("excluded_reason").is_not_null() & (pl.col("excluded_reason") != "no_consent")
    assert nodes.filter(shared != pl.col("group").is_null()).is_empty()
    strong = frame.filter("is_analytics_consented").with_columns(pl.lit(None, dtype=pl.String).alias(k) for k in KINDS[3:])
    alone = {(k, i): g for k, i, g in stitched(strong).select("id_kind", "id", "group").iter_rows()}
    by_group: dict[int, set[int | None]] = {}
    for kind, value, group in nodes.filter(pl.col("id_kind").is_in(list(KINDS[:3]))).select("id_kind", "id", "group").iter_rows():
        if group is not None:
            by_group.setdefault(group, set()).add(alone[kind, value])
    assert all(len(accounts) == 1 for accounts in by_group.values())
    edges = edges_of(sightings(frame)).to_dicts()
    chance.shuffle(edges)
    again = Stitching(links(pl.DataFrame(edges, schema=edges_of(sightings(frame)).schema)), Limits()).run()
    assert nodes.sort("node").equals(again.sort("node"))


@pytest.mark.parametrize("seed", [7, 8])
def test_known_people_are_found(seed: int) -> None:
    """Fifty thousand events with families, kiosks, bots, copied links, resets: precision ≥ 0.98, recall ≥ 0.95."""
    world = make_world(50_000, seed)
    nodes = stitched(world.events).select("id_kind", "id", person="group")
    for found in (score_events(world.events, nodes), score_ids(world.events, nodes)):
        assert found.precision >= 0.98
        assert found.recall >= 0.95


@pytest.mark.slow
def test_a_million_events_of_known_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Precision ≥ 0.99 and recall ≥ 0.95 over pairs of events and over pairs of ids."""
    world = make_world(1_000_000)
    assert world.events.height >= 1_000_000
    nodes = stitched(world.events).select("id_kind", "id", person="group")
    of_events, of_ids = score_events(world.events, nodes), score_ids(world.events, nodes)
    with capsys.disabled():
        print(f"\npairs of events: {of_events}\npairs of ids: {of_ids}")  # noqa: T201  # the figures are the result
    for found in (of_events, of_ids):
        assert found.precision >= 0.99
        assert found.recall >= 0.95


def test_without_protection_strangers_are_glued() -> None:
    """The world is hard: plain union–find over the same edges glues thousands of strangers, so the protection is what helps."""
    world = make_world(50_000)
    known = links(edges_of(sightings(world.events)))
    kinds, ids = ("left_id_kind", "right_id_kind"), ("left_id", "right_id")
    names = pl.concat([known.select(id_kind=kind, id=value) for kind, value in zip(kinds, ids, strict=True)]).unique()
    number = {key: n for n, key in enumerate(names.select("id_kind", "id").iter_rows())}
    pairs = [(number[a, b], number[c, d]) for a, b, c, d in known.select(kinds[0], ids[0], kinds[1], ids[1]).iter_rows()]
    glued = names.with_columns(person=pl.Series(components(names.height, pairs)))
    assert score_ids(world.events, glued).precision < 0.1
