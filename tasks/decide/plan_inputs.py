"""Everything a plan of ad accounts rests on, read from tables and checked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.core import caps
from tasks.core.currencies import missing_rate
from tasks.core.errors import GateStop
from tasks.core.ledger import Ledger, SetHistory, moves_of
from tasks.core.ledger import Row as LedgerRow
from tasks.core.money import MICROS
from tasks.core.policy import Policy
from tasks.core.segments import UNSPLIT, Split
from tasks.core.transitions import FINAL
from tasks.decide.budget_state import Budget
from tasks.decide.live_model import PLATFORMS, LiveModel
from tasks.decide.planner import ChannelSpend

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse

Row = Mapping[str, Any]

RECENT_DAYS = 14  # whole weeks, so that week-ends weigh as they should
CAC_DAYS = 28  # trailing window of the blended CAC
OUTCOME_SOURCE = "crm"
# Changes after which a platform's bidding has to learn again.
_LEARNING_FIELDS = ("status", "campaign_budget", "bidding", "manual_", "maximize_", "target_", "percent_cpc", "commission")


@dataclass(frozen=True)
class PlanInputs:
    """What :func:`tasks.decide.planner.plan_budgets` takes, with what belongs beside the numbers."""

    platform: str
    budgets: tuple[Budget, ...]
    spend: ChannelSpend
    target_cac_micros: int
    blended_cac: float
    used_micros: Mapping[str, int]
    data_through_date: date
    notes: tuple[str, ...]


def read_platform_inputs(warehouse: Warehouse, model: LiveModel, policy: Policy, platform: str, run_date: date) -> PlanInputs:
    """Inputs of all accounts of ``platform``; GateStop names what is missing, stale or mixed, and the remedy."""
    today = warehouse.query_file("control/plan_budgets_today/query.sql", {"platform": platform, "run_date": run_date})
    if today.is_empty():
        raise GateStop(f"ads.campaign_budgets has no budgets of {platform} for {run_date}; run ingest-ads --run-date {run_date}")
    check_currencies(today["currency_code"], model.currency_code)
    through = _check_fresh(warehouse, platform, policy, run_date)
    _check_rates(warehouse, model, run_date)
    # West of UTC the day before the run date is not over when data load. A mean over whole days must not count it as empty.
    end = through + timedelta(days=1)
    recent = _channel_spend(warehouse, end, RECENT_DAYS, RECENT_DAYS, model.split)
    blended = _blended_cac(warehouse, model, through)
    own_target = policy.target_cac_micros if model.target == "new_customers" else None
    histories = Ledger(warehouse).histories(platform)
    since = run_date - timedelta(days=max(policy.learning_days, 2))
    changes = warehouse.query_file(
        "control/plan_changes/query.sql", {"platform": platform, "since_date": since, "run_date": run_date}
    ).to_dicts()
    switches = warehouse.query_file("control/plan_switches/query.sql").filter("is_on").to_dicts()
    budgets = _budgets(warehouse, model.split, platform, run_date, end, today, changes, histories, switches)
    return PlanInputs(
        platform=platform,
        budgets=budgets,
        spend=_spend(warehouse, model, recent),
        target_cac_micros=int(blended * MICROS) if own_target is None else own_target,
        blended_cac=blended,
        used_micros=used_in_window(changes, histories, run_date),
        data_through_date=through,
        notes=(*_notes(model, policy, switches), *_without_budgets(model, platform, budgets)),
    )


def check_currencies(codes: Iterable[str], model_currency: str) -> None:
    """GateStop if an amount is in another currency than the model's."""
    strange = sorted(set(codes) - {model_currency})
    if strange:
        raise GateStop(
            f"mixed currencies: the MMM counts in {model_currency}, but there are budgets in {', '.join(strange)}; "
            "plan accounts of one currency at a time, with a model fitted on them"
        )


def _check_rates(warehouse: Warehouse, model: LiveModel, run_date: date) -> None:
    """GateStop if spend that the plan rests on cannot be told in the model's currency."""
    why = missing_rate(warehouse, model.currency_code, model.window_start_date, run_date)
    if why is not None:
        raise GateStop(f"mixed currencies: {why}")


def _without_budgets(model: LiveModel, platform: str, budgets: Iterable[Budget]) -> Iterator[str]:
    """A note on the channels of the model that no budget of ``platform`` can move."""
    planned = {channel for budget in budgets for channel in budget.channels}
    others = [channel for channel in model.curves.channels if channel not in planned]
    if others:
        yield f"{', '.join(others)}: no budget of {platform} pays for it, so its spend counts and stays as it is"


def _channel_spend(warehouse: Warehouse, end: date, days: int, period_days: int, split: Split = UNSPLIT) -> pl.DataFrame:
    """Spend of all platforms by account, period and channel, in the currency of the outcomes.

    A channel of ``split`` comes as two rows, each with the name of its part.
    """
    import polars as pl

    spend = warehouse.query_file(
        "control/plan_channel_spend/query.sql",
        {
            "start_date": end - timedelta(days=days),
            "end_date": end,
            "period_days": period_days,
            "remarketing_campaign_ids": list(split.campaign_ids),
        },
    )
    names = [split.name(channel, part) for channel, part in spend.select("channel", "is_remarketing").iter_rows()]
    return spend.with_columns(pl.Series("channel", names, dtype=pl.String))


def _check_fresh(warehouse: Warehouse, platform: str, policy: Policy, run_date: date) -> date:
    """Last day of complete data behind the plan; GateStop if an account or the outcomes are older than the policy allows.

    Accounts of all platforms count, since the blended CAC is over all spend, but ``platform`` itself must have spent.

    An account without delivery sends no rows: what its loads covered counts as well as its newest row.
    """
    oldest = run_date - timedelta(days=policy.max_data_age_days)
    recent = _channel_spend(warehouse, run_date, RECENT_DAYS, RECENT_DAYS)
    if platform not in recent["platform"]:
        raise GateStop(
            f"ads.ads_campaign_performance has no spend of {platform} in the {RECENT_DAYS} days before {run_date}; run ingest-ads"
        )
    last: dict[tuple[str, str], date] = {}
    for network, account, day in recent.select("platform", "account_id", "last_date").iter_rows():
        last[network, account] = max(day, last.get((network, account), day))
    landed = warehouse.query_file("control/plan_landed/query.sql", {"run_date": run_date})
    for network, account, day in landed.iter_rows():
        if (network, account) in last:
            last[network, account] = max(last[network, account], day)
    stale = [f"{network}:{account} (last day {day})" for (network, account), day in sorted(last.items()) if day < oldest]
    if stale:
        raise GateStop(
            f"stale spend: account {', '.join(stale)} has nothing since, the plan of {run_date} needs {oldest} or later; "
            f"see control.ingest_runs and run ingest-ads --run-date {run_date}"
        )
    outcomes = read_outcomes(warehouse, OUTCOME_SOURCE, run_date - timedelta(days=CAC_DAYS), run_date)
    ends = [day + timedelta(days=days - 1) for day, days in outcomes.select("period_start_date", "period_days").iter_rows()]
    newest: date | None = max((end for end in ends if end < run_date), default=None)
    if newest is None or newest < oldest:
        raise GateStop(
            f"stale outcomes: ads.business_outcomes of source {OUTCOME_SOURCE} ends on {newest or 'no day of four weeks'}, "
            f"the plan of {run_date} needs {oldest} or later; run ingest-outcomes --run-date {run_date}"
        )
    through: date = min(newest, *last.values())
    return through


def read_outcomes(warehouse: Warehouse, source: str, since: date, until: date) -> pl.DataFrame:
    """Outcomes of periods that begin in ``since`` ≤ day < ``until``."""
    return warehouse.query_file("control/plan_outcomes/query.sql", {"source": source, "since_date": since, "run_date": until})


def _blended_cac(warehouse: Warehouse, model: LiveModel, through: date) -> float:
    """All spend over all outcomes of the newest ``CAC_DAYS`` complete days; what a platform attributes plays no part."""
    end = through + timedelta(days=1)
    spend = float(_channel_spend(warehouse, end, CAC_DAYS, CAC_DAYS)["spend_micros"].sum()) / MICROS
    outcomes = read_outcomes(warehouse, OUTCOME_SOURCE, end - timedelta(days=CAC_DAYS), end)
    return cost_per_outcome(spend, outcomes, model.target, OUTCOME_SOURCE)


def cost_per_outcome(spend: float, outcomes: pl.DataFrame, target: str, source: str) -> float:
    """Currency units per outcome; GateStop if there is no outcome to divide by."""
    column = "new_customers" if target == "new_customers" else "revenue_micros"
    total = float(outcomes[column].sum()) / (1 if target == "new_customers" else MICROS)
    if total <= 0:
        raise GateStop(
            f"ads.business_outcomes of source {source} counts {total:g} {target} in the trailing window, so there is no blended "
            "CAC to hold; load the outcomes, or set target_cac_micros in the policy and load at least one customer"
        )
    return spend / total


def _spend(warehouse: Warehouse, model: LiveModel, recent: pl.DataFrame) -> ChannelSpend:
    days = (model.window_end_date - model.window_start_date).days + 1
    days -= days % model.period_days
    seen = _channel_spend(warehouse, model.window_end_date + timedelta(days=1), days, model.period_days, model.split)
    periods = days // model.period_days
    table = np.zeros((len(model.curves.channels), periods))
    current = np.zeros(len(model.curves.channels))
    position = {channel: i for i, channel in enumerate(model.curves.channels)}
    for channel, period, micros in seen.select("channel", "period", "spend_micros").iter_rows():
        if channel in position:
            table[position[channel], period] += micros / MICROS / model.period_days
    for channel, micros in recent.select("channel", "spend_micros").iter_rows():
        if channel in position:
            current[position[channel]] += micros / MICROS / RECENT_DAYS
    return ChannelSpend(current, table.min(axis=1), table.max(axis=1))


def _budgets(
    warehouse: Warehouse,
    split: Split,
    platform: str,
    run_date: date,
    end: date,
    today: pl.DataFrame,
    changes: Sequence[Row],
    histories: Sequence[SetHistory],
    switches: Sequence[Row],
) -> tuple[Budget, ...]:
    """Budgets of ``run_date``; what they spent, in the complete days before ``end``."""
    recent_start = end - timedelta(days=RECENT_DAYS)
    month_start = (end - timedelta(days=1)).replace(day=1)
    delivery = warehouse.query_file(
        "control/plan_budget_delivery/query.sql",
        {
            "platform": platform,
            "run_date": run_date,
            "end_date": end,
            "recent_start_date": recent_start,
            "month_start_date": month_start,
        },
    )
    spent = {(row["account_id"], row["budget_id"]): row for row in delivery.iter_rows(named=True)}
    frozen = {str(s["scope"]): str(s["why"]) for s in switches}
    canaries = open_canaries(histories)
    found = []
    for row in today.iter_rows(named=True):
        key = (row["account_id"], row["budget_id"])
        seen = spent.get(key, {})
        found.append(
            Budget(
                platform=platform,
                account_id=row["account_id"],
                budget_id=row["budget_id"],
                currency_code=row["currency_code"],
                amount_micros=row["amount_micros"],
                status=row["status"],
                is_explicitly_shared=row["is_explicitly_shared"],
                reference_count=row["reference_count"],
                campaign_ids=tuple(sorted(row["member_campaign_ids"])),
                enabled_campaign_ids=tuple(sorted(row["enabled_campaign_ids"] or ())),
                channels=split.names(row["channels"], row["member_campaign_ids"]),
                recent_spend_micros=int(seen.get("recent_spend_micros", 0)) // RECENT_DAYS,
                month_to_date_micros=int(seen.get("month_to_date_micros", 0)),
                month_days=(end - month_start).days,
                highest_daily_spend_micros=int(seen.get("highest_daily_spend_micros", 0)),
                budget_lost_share=seen.get("budget_lost_share"),
                last_change=last_change(row, changes, histories),
                open_change_set_id=canaries.get(key),
                frozen_why=frozen.get(f"{platform}:{row['account_id']}"),
            )
        )
    return tuple(found)


def last_change(budget: Row, changes: Iterable[Row], histories: Sequence[SetHistory]) -> tuple[date, str] | None:
    """Newest change that starts a learning phase of the budget, by anybody, with who made it."""
    found: list[tuple[date, str]] = []
    for event in changes:
        if event["account_id"] != budget["account_id"]:
            continue
        is_amount = event["amount_after_micros"] is not None and event["amount_after_micros"] != event["amount_before_micros"]
        on_budget = event["resource_type"] == "CAMPAIGN_BUDGET" and event["resource_id"] == budget["budget_id"]
        on_member = event["resource_type"] == "CAMPAIGN" and event["resource_id"] in budget["member_campaign_ids"]
        fields = [f.rsplit(".", 1)[-1] if f.startswith("campaign.") else f for f in event["changed_fields"] or []]
        relearns = event["operation"] == "CREATE" or any(f.startswith(_LEARNING_FIELDS) for f in fields)
        if (on_budget and (is_amount or event["operation"] == "CREATE")) or (on_member and relearns):
            found.append((event["date"], f"{event['resource_type']} through {event['client_type']}"))
    found += [
        (row.at.date(), f"change set {row.change_set_id} {row.event.replace('_', ' ')}")
        for history in histories
        for row in history.rows
        if row.event in ("applied", "rolled_back") and key_of(row) == (budget["account_id"], budget["budget_id"])
    ]
    return max(found, default=None)


def key_of(row: LedgerRow) -> tuple[str, str]:
    """Account and budget of a ledger row about one change; the budget is empty for an event of the whole set."""
    return row.account_id, row.change_id.rsplit("-", 1)[-1]


def open_canaries(histories: Iterable[SetHistory]) -> dict[tuple[str, str], str]:
    """(account, budget) → change set whose money moved, or may have, and that has not ended."""
    found: dict[tuple[str, str], str] = {}
    for history in histories:
        if history.state in FINAL:
            continue
        for row in history.rows:
            if row.change_id and history.change_state(row.change_id) not in ("failed", "rolled_back"):
                found[key_of(row)] = history.change_set_id
    return found


def used_in_window(changes: Iterable[Row], histories: Sequence[SetHistory], run_date: date) -> dict[str, int]:
    """By account: Σ absolute changes of budgets in the 24 h before the run date (UTC) and on it, by anybody (M3).

    Pinned to the run date instead of to now, so that planning twice gives the same plan; apply-changes counts again.
    """
    logged: dict[str, list[caps.Move]] = defaultdict(list)
    for event in changes:
        after = event["amount_after_micros"]
        if event["resource_type"] == "CAMPAIGN_BUDGET" and after is not None:
            move = caps.Move(event["resource_id"], event["changed_at"], event["amount_before_micros"] or 0, after)
            logged[event["account_id"]].append(move)
    midnight = datetime.combine(run_date, time.min, tzinfo=UTC)
    own: dict[str, list[caps.Move]] = defaultdict(list)
    for history in histories:
        for move in moves_of(history.rows, midnight - caps.WINDOW):
            own[history.rows[0].account_id].append(move)
    return {account: caps.used_daily_micros(own[account], logged[account], midnight) for account in sorted({*own, *logged})}


def _notes(model: LiveModel, policy: Policy, switches: Sequence[Row]) -> tuple[str, ...]:
    notes = [
        f"the kill switch is on ({s['why']}, by {s['actor']}): nothing of this plan is applied until `aelp2 kill --off`"
        for s in switches
        if s["scope"] == "all"
    ]
    if model.trust != "normal":
        notes.append(f"MMM run {model.run_id} is the low-trust fallback model: let a person weigh every change")
    if model.source == PLATFORMS and model.target != "new_customers":
        notes.append(
            f"the live model explains {model.target}: costs are per currency unit of it, the policy's target CAC is not used"
        )
    if model.split.campaign_ids != policy.remarketing_campaign_ids:
        notes.append(
            f"MMM run {model.run_id} was not split by the policy's present remarketing_campaign_ids; the plan keeps to the "
            "run's own split, the next fit takes the list up as far as its channels can be told apart"
        )
    return tuple(notes)
