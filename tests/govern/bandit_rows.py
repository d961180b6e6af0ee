"""What fit-bandits, choose-arms, plan-ads and the canary of ads leave behind, for the made-up advertiser of report_world."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from report_world import ACCOUNT, PLANNED, RUN_DATE, ReportWorld
from scipy.special import gammaincinv

from tasks.core.ad_changes import AdChange, AdStatusSet, ad_change_id, make_ad_set
from tasks.decide.bandit_log import arms_of, decision_rows
from tasks.decide.bandit_split import Reserve, Rules, decide

ON, OFF = "ENABLED", "PAUSED"
CAP = 75_000_000
# ad: conversions, spend in currency units. Cheap and proven, about as cheap but new, far too dear.
ARMS: dict[str, tuple[float, float]] = {"a1": (40.0, 2000.0), "a2": (6.0, 300.0), "a3": (4.0, 1800.0)}
RULES = Rules(reserve=Reserve(100_000), cac_cap_micros=CAP, min_sample_micros=10 * CAP, day_spend_micros=500_000_000, segment=0)


def posteriors(
    arms: dict[str, tuple[float, float]], *, group: str, at: datetime, version: str = "v1", day: date = RUN_DATE, **facts: Any
) -> Iterator[dict[str, Any]]:
    """Rows of models.bandit_posteriors of one group in all segments, their quantiles those of the gamma posterior."""
    about = {"run_date": day, "platform": "google_ads", "account_id": ACCOUNT, "campaign_id": "c1", "adgroup_id": group}
    about |= {"arm_kind": "ad", "posterior_version": version, "channel": "SEARCH_NONBRAND", "arm_status": ON}
    about |= {"reward": "conversions", "prior_mean": 0.02, "prior_strength": 1.0, "prior_source": "account", "discount": 1.0}
    about |= {"dispersion": 1.0, "group_day_spend_micros": 500_000_000, "impressions": 9000, "clicks": 900}
    about |= {"arrived_share": 0.9, "first_date": day - timedelta(days=60), "last_date": day - timedelta(days=1)}
    about |= {"is_fatigued": False, "currency_code": "USD", "loaded_at": at}
    for arm_id, (conversions, spend) in arms.items():
        alpha, exposure = conversions + 1, spend * 0.9 + 50
        cost = {
            f"cac_{name}_micros": round(1e6 * exposure / gammaincinv(alpha, q))
            for name, q in (("p05", 0.95), ("p50", 0.5), ("p95", 0.05))
        }
        row = about | {"arm_id": arm_id, "conversions": conversions, "spend_micros": round(spend * 1e6)} | cost
        row |= {"alpha": alpha, "exposure_spend": exposure, "cac_alpha": alpha, "cac_exposure_spend": exposure} | facts
        yield from (row | {"segment": segment} for segment in ("all", "weekday", "weekend"))


def bandits(
    world: ReportWorld,
    arms: dict[str, tuple[float, float]] = ARMS,
    *,
    group: str = "g1",
    rules: Rules = RULES,
    day: date = RUN_DATE,
    **facts: Any,
) -> list[dict[str, Any]]:
    """Posteriors of a group and the decision that the real rules make of them; the decision's rows."""
    at = world.at(day, 7)
    rows = list(posteriors(arms, group=group, at=at, day=day, **facts))
    world.put("models.bandit_posteriors", *rows)
    made = list(decision_rows(decide(arms_of(rows), rules, seed=1), rules, rows, day, 1, at))
    world.put("models.bandit_decisions", *made)
    return made


def delivered(world: ReportWorld, day: date, spends: dict[str, int], *, group: str = "g1") -> None:
    """What each ad of a group spent on a day, in currency units."""
    row = {"platform": "google_ads", "account_id": ACCOUNT, "date": day, "campaign_id": "c1", "adgroup_id": group}
    row |= {"channel": "SEARCH_NONBRAND", "is_brand": False, "ad_status": ON, "impressions": 10, "clicks": 1, "conversions": 0.0}
    row |= {"revenue_micros": 0, "currency_code": "USD", "timezone": "UTC", "attribution_window": "30d_click"}
    row |= {"loaded_at": world.at(day, 23)}
    world.put("ads.ads_ad_performance", *(row | {"ad_id": ad, "cost_micros": spend * 10**6} for ad, spend in spends.items()))


def statuses(
    world: ReportWorld, ads: Sequence[tuple[str, str]], *, group: str = "g1", day: date = RUN_DATE, **facts: Any
) -> None:
    """How (ad, status) stood on a morning."""
    row = {"platform": "google_ads", "account_id": ACCOUNT, "date": day, "campaign_id": "c1", "adgroup_id": group}
    row |= {"adgroup_status": ON, "campaign_status": ON, "loaded_at": world.at(day, 6)} | facts
    world.put("ads.ad_statuses", *(row | {"ad_id": ad, "ad_status": status} for ad, status in ads))


def account(world: ReportWorld, account_id: str = ACCOUNT, status: str = ON) -> None:
    """An ad account of the manager account."""
    row = {"platform": "google_ads", "account_id": account_id, "currency_code": "USD", "timezone": "UTC", "status": status}
    world.put("ads.ads_accounts", row | {"loaded_at": world.at(RUN_DATE, 5)})


def ad_set(day: date = PLANNED, mode: str = "live", reason: str = "P(CAC > 75.00) is 0.981", **facts: Any) -> AdStatusSet:
    """a2 on, a3 off."""
    changes = tuple(
        AdChange(
            change_id=ad_change_id("google_ads", ACCOUNT, day, ("g1", ad)),
            campaign_id="c1",
            adgroup_id="g1",
            ad_id=ad,
            status_before=OFF if after == ON else ON,
            status_after=after,
            reason=reason,
        )
        for ad, after in (("a2", ON), ("a3", OFF))
    )
    made: dict[str, Any] = {"platform": "google_ads", "account_id": ACCOUNT, "currency_code": "USD", "run_date": day}
    made |= {"author": "planner", "mode": mode, "decisions_sha256": "1" * 64, "policy_sha256": "0" * 64}
    return make_ad_set(AdStatusSet(changes=changes, data_through_date=day - timedelta(days=1), **(made | facts)))


def propose_ads(world: ReportWorld, made: AdStatusSet, *, hour: int = 8, canonical: str | None = None) -> None:
    """The set as plan-ads stores it, with its first row in the changefeed."""
    now = world.at(made.run_date, hour)
    row = {"change_set_id": made.change_set_id, "sha256": made.sha256, "kind": "ad_status", "run_date": made.run_date}
    row |= {"canonical_json": canonical or made.canonical().decode(), "platform": made.platform, "account_id": made.account_id}
    row |= {"author": made.author, "mode": made.mode, "created_at": now, "expires_at": now + timedelta(hours=24)}
    world.put("control.change_sets", row)
    ad_event(world, made, "proposed", actor=made.author)


def ad_event(world: ReportWorld, made: AdStatusSet, event: str, change: AdChange | None = None, **fields: Any) -> None:
    """Append to the changefeed at the clock's time; a switch of ``change`` where one is given."""
    if change is not None:
        fields |= {"change_id": change.change_id, **change.ledger_fields((change.before, change.after))} | {
            key: fields[key] for key in ("status_before", "status_after") if key in fields
        }
    world.event(event, set_id=made.change_set_id, account=made.account_id, **({"sha256": made.sha256} | fields))


def approve_ads(world: ReportWorld, made: AdStatusSet, *, sha256: str | None = None) -> None:
    """A person's yes, two hours after the plan."""
    now = world.at(made.run_date, 10)
    row = {"change_set_id": made.change_set_id, "sha256": sha256 or made.sha256, "decision": "approved", "approver": "maria"}
    world.put("control.approvals", row | {"decided_at": now, "approval_ref": "run-9", "expires_at": now + timedelta(hours=22)})
    ad_event(world, made, "approved", actor="maria")


def apply_ads(world: ReportWorld, made: AdStatusSet, *, until: int | None = None) -> None:
    """Snapshot, validated, each ad switched with its receipt; ``until``: only so many ads, and no end of the set."""
    now = world.at(made.run_date, 11)
    read = {"change_set_id": made.change_set_id, "platform": made.platform, "account_id": made.account_id}
    read |= {"adgroup_status": ON, "campaign_status": ON, "snapshot_at": now}
    for change in made.changes:
        facts = {"change_id": change.change_id, "campaign_id": change.campaign_id, "adgroup_id": change.adgroup_id}
        world.put("control.canary_ads_snapshot", read | facts | {"ad_id": change.ad_id, "ad_status": change.status_before})
    ad_event(world, made, "snapshot")
    ad_event(world, made, "validated")
    for change in made.changes[:until]:
        ad_event(world, made, "mutate_intended", change)
        ad_event(world, made, "applied", change, request_id="req-ad")
    if until is None:
        ad_event(world, made, "applied")
        ad_event(world, made, "verified")


def ad_decision(world: ReportWorld, ad: str, decision: str, constraint: str, detail: str, day: date = PLANNED) -> None:
    """What the plan of a day made of a bandit's decision."""
    row = {"run_date": day, "platform": "google_ads", "account_id": ACCOUNT, "campaign_id": "c1", "adgroup_id": "g1"}
    row |= {"ad_id": ad, "decision": decision, "constraint": constraint, "detail": detail, "decided_at": world.at(day, 8)}
    world.put("control.ad_decisions", row)
