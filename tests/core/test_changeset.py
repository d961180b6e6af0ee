"""Change sets: canonical bytes, a hash that sees one micro, a parser that takes nothing else."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.canonical import canonical_json
from tasks.core.changeset import Change, ChangeSet, change_id, make_change_set, parse, probability_ppm
from tasks.core.errors import JobError
from tasks.core.money import LARGEST_MICROS

DAY = date(2026, 3, 2)
TOKENS = st.text(st.sampled_from("abcXYZ0189_.:-"), min_size=1, max_size=12)
AMOUNTS = st.integers(0, LARGEST_MICROS)


def one_change(budget_id: str = "b1", before: int = 400_000_000, after: int = 420_000_000, **facts: Any) -> Change:
    name = change_id("google_ads", "2000000001", DAY, budget_id)
    base = Change(name, budget_id, "SEARCH_NONBRAND", ("c1", "c2"), True, before, after, before, True, 900_000)
    return dataclasses.replace(base, **facts)


def one_set(*changes: Change, **facts: Any) -> ChangeSet:
    base = ChangeSet(
        platform="google_ads",
        account_id="2000000001",
        currency_code="USD",
        run_date=DAY,
        author="plan-budgets",
        mode="live",
        mmm_run_id="run1",
        policy_sha256="0" * 64,
        target_cac_micros=60_000_000,
        account_daily_budget_micros=1_000_000_000,
        data_through_date=date(2026, 3, 1),
        changes=changes or (one_change(),),
    )
    return dataclasses.replace(base, **facts)


@st.composite
def change_sets(draw: st.DrawFn) -> ChangeSet:
    platform, account = draw(TOKENS), draw(TOKENS)
    changes = []
    for budget_id in draw(st.lists(TOKENS, min_size=1, max_size=4, unique=True)):
        before, after = draw(st.tuples(AMOUNTS, AMOUNTS).filter(lambda pair: pair[0] != pair[1]))
        changes.append(
            Change(
                change_id=change_id(platform, account, DAY, budget_id),
                budget_id=budget_id,
                channel=draw(TOKENS),
                campaign_ids=tuple(draw(st.lists(TOKENS, min_size=1, max_size=3, unique=True))),
                is_shared=draw(st.booleans()),
                amount_before_micros=before,
                amount_after_micros=after,
                highest_daily_spend_micros=draw(AMOUNTS),
                is_extrapolated=draw(st.booleans()),
                p_cac_le_target_ppm=draw(st.integers(0, 1_000_000)),
            )
        )
    author = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip))
    return one_set(*changes, platform=platform, account_id=account, author=author, mode=draw(st.sampled_from(["shadow", "live"])))


@given(change_sets())
def test_the_canonical_bytes_are_read_back(drafted: ChangeSet) -> None:
    """What is parsed hashes to the same, whatever names and amounts it holds, and however often it is made."""
    made = make_change_set(drafted)
    again = parse(made.canonical())
    assert (again, again.sha256, again.canonical()) == (made, made.sha256, made.canonical())
    assert make_change_set(made) == made


@given(change_sets(), st.randoms())
def test_order_makes_no_other_set(drafted: ChangeSet, random: Any) -> None:
    """Planning twice gives the same bytes: the order in which changes and campaigns were found does not matter."""
    shuffled = [
        dataclasses.replace(c, campaign_ids=tuple(random.sample(c.campaign_ids, len(c.campaign_ids)))) for c in drafted.changes
    ]
    random.shuffle(shuffled)
    assert make_change_set(dataclasses.replace(drafted, changes=tuple(shuffled))).sha256 == make_change_set(drafted).sha256


def test_the_canonical_form_to_the_byte() -> None:
    """Keys sorted, no white space, UTF-8 without escapes, composed characters: RFC 8785 without floats and nulls."""
    value = {"b": [1, True, "Ü"], "a": {"z": "e\u0301", "B": -5}}
    assert canonical_json(value) == '{"a":{"B":-5,"z":"é"},"b":[1,true,"Ü"]}'.encode()
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        None,
        {"a": None},
        [1.5],
        {1: 2},
        {"ä": 1},
        b"x",
        date(2026, 1, 1),
        2**53,
        -(2**53),
        "\ud800",
        {"a": {1, 2}},
    ],
)
def test_what_readers_disagree_about_is_refused(value: object) -> None:
    """Floats, nulls, integers beyond 2^53 − 1, odd keys, half characters: a hash over them would not mean one thing."""
    with pytest.raises(JobError, match="canonical JSON"):
        canonical_json(value)


def test_the_hash_is_of_the_bytes_alone() -> None:
    """Pinned: a change of the form would void every approval on record, so it must be meant."""
    made = make_change_set(one_set())
    assert made.sha256 == hashlib.sha256(made.canonical()).hexdigest()
    assert made.sha256 == "3227b1ac77b6203ac8d64c0c0e68345c06f5749308e8514256ea0eeaaf56bb12"
    assert made.change_set_id == f"google_ads-2000000001-2026-03-02-{made.sha256[:12]}"


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Change) if f.name != "change_id"])
def test_every_fact_of_a_change_is_in_the_hash(field: str) -> None:
    """One micro, one campaign, one flag: another hash, so another approval (M1)."""
    old = getattr(one_change(), field)
    new = (
        (not old)
        if isinstance(old, bool)
        else old + 1
        if isinstance(old, int)
        else (*old, "c3")
        if isinstance(old, tuple)
        else "b2"
    )
    facts = {field: new}
    if field == "budget_id":
        facts["change_id"] = change_id("google_ads", "2000000001", DAY, "b2")
    assert make_change_set(one_set(one_change(**facts))).sha256 != make_change_set(one_set()).sha256


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency_code", "EUR"),
        ("author", "somebody"),
        ("mode", "shadow"),
        ("mmm_run_id", "run2"),
        ("policy_sha256", "1" * 64),
        ("target_cac_micros", 60_000_001),
        ("account_daily_budget_micros", 1_000_000_001),
        ("data_through_date", date(2026, 2, 28)),
    ],
)
def test_every_fact_of_a_set_is_in_the_hash(field: str, value: object) -> None:
    """Also the currency, the rules, the target and the data it rests on (M1)."""
    assert make_change_set(one_set(**{field: value})).sha256 != make_change_set(one_set()).sha256


def raw() -> dict[str, Any]:
    return dict(json.loads(make_change_set(one_set(one_change("b1"), one_change("b2"))).canonical()))


def edit(**facts: object) -> Callable[[dict[str, Any]], object]:
    return lambda whole: whole.update(facts)


def edit_change(**facts: object) -> Callable[[dict[str, Any]], object]:
    return lambda whole: whole["changes"][0].update(facts)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (edit(note="hello"), r"unknown keys \['note'\]"),
        (edit_change(note="hello"), r"change 0 has unknown keys \['note'\]"),
        (lambda whole: whole.pop("mode"), r"lacks \['mode'\]"),
        (lambda whole: whole["changes"][0].pop("is_shared"), r"lacks \['is_shared'\]"),
        (edit(schema_version=2), "schema_version 2"),
        (edit(changes=[]), "holds no changes"),
        (edit(changes={}), "holds no changes"),
        (edit(changes=[7]), "not an object"),
        (edit(author=" "), "must name who proposed it"),
        (edit(mode="LIVE"), "mode 'LIVE'"),
        (edit(currency_code="usd"), "currency_code"),
        (edit(currency_code="USD\n"), "currency_code"),
        (edit(policy_sha256="0" * 63), "policy_sha256"),
        (edit(run_date="2026-02-30"), "not a date"),
        (edit(run_date=20260302), "not a date"),
        (edit(run_date="20260302"), "canonical form"),
        (edit(account_id=2000000001), "account_id"),
        (edit(account_id="2000000002"), "should be 'google_ads-2000000002-2026-03-02-b1'"),
        (edit(platform="google_ads\n"), "platform"),
        (edit(target_cac_micros=True), "integer micros"),
        (edit(account_daily_budget_micros=-1), "lies between"),
        (edit_change(amount_after_micros="420000000"), "integer micros"),
        (edit_change(amount_after_micros=400_000_000), "changes nothing"),
        (edit_change(p_cac_le_target_ppm=1_000_001), "more than 1000000"),
        (edit_change(is_shared=1), "not true or false"),
        (edit_change(is_extrapolated="true"), "not true or false"),
        (edit_change(campaign_ids=[]), "must be listed"),
        (edit_change(campaign_ids=["c2", "c1"]), "repeated or not sorted"),
        (edit_change(campaign_ids=["c1", "c1"]), "repeated or not sorted"),
        (edit_change(campaign_ids=["c1 OR 1"]), "campaign id"),
        (edit_change(budget_id="b2"), "twice or out of order"),
        (edit_change(budget_id="b1|x"), "budget_id"),
        (edit_change(change_id="another"), "should be"),
        (lambda whole: whole["changes"].reverse(), "twice or out of order"),
    ],
)
def test_a_tampered_set_is_refused(tamper: Callable[[dict[str, Any]], object], words: str) -> None:
    """Although its bytes are canonical again: unknown, missing, mistyped or contradicting facts are named."""
    whole = raw()
    tamper(whole)
    with pytest.raises(JobError, match=words):
        parse(canonical_json(whole))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"account', ' {"account'),
        (":420000000", ": 420000000"),
        (":420000000", ":420000000.0"),
        (":420000000", ":4.2e8"),
        (":420000000", ":NaN"),
        (":420000000", ":-0"),
        ('"plan-budgets"', '"plan\\u002dbudgets"'),
        ('"schema_version":1', '"schema_version":true'),
        ('"mode":"live"', '"mode":"live","mode":"live"'),
        ('"mode":"live"', '"mode":"shadow","mode":"live"'),
        ("}]", "},]"),
    ],
)
def test_other_bytes_of_the_same_meaning_are_refused(old: str, new: str) -> None:
    """One meaning has one form: spaces, escapes, other numbers, a key twice. An approval never covers two byte strings (M1)."""
    text = make_change_set(one_set()).canonical().decode()
    assert old in text
    with pytest.raises(JobError):
        parse(text.replace(old, new, 1))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"7", "\ufeff{}".encode(), b'"\\ud800"'])
def test_no_set_at_all_is_refused(data: bytes) -> None:
    """By a clear error, not by a trace."""
    with pytest.raises(JobError, match="change set"):
        parse(data)


def test_half_a_character_is_no_author() -> None:
    """Text that cannot be written as UTF-8 is refused when it is read, not when it is hashed."""
    text = make_change_set(one_set()).canonical().decode().replace('"plan-budgets"', '"\\ud800"')
    with pytest.raises(JobError, match="surrogate"):
        parse(text)


@given(st.floats(0, 1))
def test_a_probability_is_never_rounded_up(p: float) -> None:
    """M4: within a part per million, on the safe side."""
    assert probability_ppm(p) <= p * 1_000_000 < probability_ppm(p) + 1 + 1e-6


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), float("inf")])
def test_no_probability_is_refused(p: float) -> None:
    """Not-a-number passes no comparison; it must not become an amount of certainty (M4)."""
    with pytest.raises(ValueError, match="not a probability"):
        probability_ppm(p)
