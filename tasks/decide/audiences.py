"""From scores to audiences and the exact payloads of three destinations. Pure; nothing here can reach a platform."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.core.errors import Refused

if TYPE_CHECKING:
    import polars as pl

AUDIENCES = ("grow", "suppress")
_HASH = re.compile(r"[0-9a-f]{64}")
BATCH = 10_000  # members a request: the Data Manager API's limit, and Meta's


@dataclass(frozen=True)
class Destination:
    """Where an audience would go: the ids it takes and the least size it serves.

    Google serves lists from 100 active people on, and so do GA4's audiences in Google Ads; Meta needs 100 matched ones. Meta
    hashes phone numbers without the + of E.164, so our phone hashes would match nobody there and are left out.
    """

    name: str
    id_kinds: tuple[str, ...]
    minimum: int = 100


DESTINATIONS = (
    Destination("google_customer_match", ("email_sha256", "phone_sha256")),
    Destination("meta_custom_audience", ("email_sha256",)),
    Destination("ga4_audience", ("user_pseudo_id",)),
)


def check_causal(candidates: pl.DataFrame) -> None:
    """Refused unless every score comes from a lot: what was only observed decides about nobody."""
    kinds = set(candidates["effect_kind"])
    if kinds - {"causal"}:
        raise Refused(
            "the scores are observational: nobody was assigned by lot, so they may only mirror who buys anyway. Run a randomised "
            "holdout, import it and fit again; observational scores never make an audience"
        )


def members_of(candidates: pl.DataFrame, audience: str, share: float) -> pl.DataFrame:
    """The rows of ``candidates`` in ``audience``: the best ``share`` of people by uplift, or those to whom it adds nothing.

    People with the score of the last one are in as well; a person without a score is in neither.
    """
    import polars as pl

    scored = candidates.filter(pl.col("uplift").is_not_null())
    if scored.is_empty():
        return scored
    if audience == "suppress":
        return scored.filter(pl.col("uplift") <= 0)
    people = scored.unique("person_id")["uplift"].sort(descending=True)
    least = people[max(int(len(people) * share) - 1, 0)]
    return scored.filter((pl.col("uplift") >= least) & (pl.col("uplift") > 0))


def payload_of(destination: str, audience: str, members: pl.DataFrame) -> str:
    """The request bodies as one canonical JSON text, from rows person_id, id_kind, id in any order.

    Google: Data Manager API audienceMembers.ingest; Meta: custom audience users; GA4: Measurement Protocol, one user property
    that an audience of the property is defined by. The account and the list are the sender's to add.
    """
    people: dict[str, dict[str, list[str]]] = {}
    for person, kind, value in members.select("person_id", "id_kind", "id").sort("person_id", "id_kind", "id").iter_rows():
        if kind != "user_pseudo_id" and not _HASH.fullmatch(value):
            raise ValueError(f"an id of kind {kind} is no SHA-256; nothing in clear may enter a payload")
        people.setdefault(person, {}).setdefault(kind, []).append(value)
    build = {"google_customer_match": _google, "meta_custom_audience": _meta, "ga4_audience": _ga4}[destination]
    return json.dumps(build(audience, list(people.values())), sort_keys=True, separators=(",", ":"))


def _batches[T](rows: list[T]) -> list[list[T]]:
    return [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]


def _google(_audience: str, people: list[dict[str, list[str]]]) -> list[dict[str, Any]]:
    fields = {"email_sha256": "emailAddress", "phone_sha256": "phoneNumber"}
    rows = [
        {"userData": {"userIdentifiers": [{fields[kind]: value} for kind in fields for value in person.get(kind, [])]}}
        for person in people
    ]
    granted = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    return [{"audienceMembers": batch, "consent": granted, "encoding": "HEX"} for batch in _batches(rows)]


def _meta(_audience: str, people: list[dict[str, list[str]]]) -> list[dict[str, Any]]:
    rows = [[value] for person in people for value in person["email_sha256"]]
    return [{"payload": {"schema": ["EMAIL_SHA256"], "data": batch}} for batch in _batches(rows)]


def _ga4(audience: str, people: list[dict[str, list[str]]]) -> list[dict[str, Any]]:
    granted = {"ad_user_data": "GRANTED", "ad_personalization": "GRANTED"}
    return [
        {
            "client_id": value,
            "consent": granted,
            "events": [{"name": "aelp2_audience"}],
            "user_properties": {"aelp2_audience": {"value": audience}},
        }
        for person in people
        for value in person["user_pseudo_id"]
    ]


@dataclass(frozen=True)
class Plan:
    """One audience for one destination; ``members`` is empty where it is withheld."""

    destination: Destination
    audience: str
    people: int
    consented: int
    matchable: int
    members: pl.DataFrame
    withheld: str | None
    payload_sha256: str | None
    payload_bytes: int | None


def plan_audience(candidates: pl.DataFrame, destination: Destination, audience: str, share: float) -> Plan:
    """Count, check consent and size, and hash the payload. Refused on observational scores."""
    import polars as pl

    check_causal(candidates)
    chosen = members_of(candidates, audience, share)
    consented = chosen.filter("is_ads_consented")
    members = consented.filter(pl.col("id_kind").is_in(destination.id_kinds)).select("person_id", "id_kind", "id")
    matchable = members["person_id"].n_unique()
    withheld = None
    if chosen.is_empty():
        reasons = candidates["withheld_reason"].drop_nulls()
        withheld = str(reasons[0]) if len(reasons) else "nobody is in it"
    elif matchable < destination.minimum:
        withheld = f"too small: {matchable} people can be matched, {destination.name} serves from {destination.minimum} on"
    counts = chosen["person_id"].n_unique(), consented["person_id"].n_unique(), matchable
    if withheld:
        return Plan(destination, audience, *counts, members.clear(), withheld, None, None)
    payload = payload_of(destination.name, audience, members).encode()
    return Plan(destination, audience, *counts, members, None, hashlib.sha256(payload).hexdigest(), len(payload))
