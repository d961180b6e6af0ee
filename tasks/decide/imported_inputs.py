"""Inputs of a plan for brought numbers: each channel is one budget of the source, and the plan is advice only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from tasks.core.errors import GateStop
from tasks.core.money import MICROS, round_down
from tasks.core.policy import Policy
from tasks.decide.budget_state import Budget
from tasks.decide.live_model import LiveModel
from tasks.decide.optimiser import Floats
from tasks.decide.plan_inputs import PlanInputs, check_currencies, cost_per_outcome, read_outcomes
from tasks.decide.planner import ChannelSpend

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse

PLATFORM = "imported"
RECENT_PERIODS = 8  # what models.mmm_allocations calls current spend


@dataclass(frozen=True)
class _Periods:
    """Spend of the import by channel over periods, currency units a day; (C, T) with the newest period last."""

    starts: tuple[date, ...]
    days: int
    spend: np.ndarray[tuple[int, int], np.dtype[np.float64]]


def _periods(frame: pl.DataFrame, model: LiveModel) -> _Periods:
    lengths = sorted(frame["period_days"].unique().to_list())
    if len(lengths) != 1:
        raise GateStop(f"source {model.source} mixes periods of {lengths} days; import it again with one length")
    starts = tuple(sorted(frame["period_start_date"].unique().to_list()))
    column = {day: i for i, day in enumerate(starts)}
    row = {channel: i for i, channel in enumerate(model.curves.channels)}
    spend = np.zeros((len(row), len(starts)))
    for channel, day, micros in frame.select("channel", "period_start_date", "spend_micros").iter_rows():
        if channel in row:
            spend[row[channel], column[day]] += micros / MICROS / lengths[0]
    return _Periods(starts, int(lengths[0]), spend)


def advice_policy(policy: Policy) -> Policy:
    """``policy`` without its smallest step: advice starts no learning phase, and a small table's 5 % may be cents."""
    return replace(policy, min_step_micros=min(policy.min_step_micros, policy.unit_micros))


def _target(model: LiveModel, policy: Policy, current: Floats, blended: float) -> tuple[float, str]:
    """Currency units an increase may cost per outcome, and where that figure comes from.

    A brought table is often mostly outcomes that come without media. Its blended cost is then far below what any channel can
    reach, and the plan would never move a cent. At a constant total the blended cost falls whenever the outcome rises, so there
    the cost of an outcome *through media* is held: an increase must beat what present spend buys on average.
    """
    if policy.target_cac_micros is not None and model.target == "new_customers":
        return policy.target_cac_micros / MICROS, "target_cac_micros of the policy"
    incremental = float(model.curves.outcome(current).sum(axis=1).mean())
    if policy.allow_total_growth or incremental <= 0:
        return blended, "all spend over all outcomes of those periods"
    return float(current.sum()) / incremental, "what an outcome through media costs on average at present spend, by the model"


def read_imported_inputs(warehouse: Warehouse, model: LiveModel, policy: Policy, run_date: date) -> PlanInputs:
    """Inputs of the import ``model.source``; spend per period becomes spend a day.

    Brought numbers may end long before the run date; the plan then speaks of the last periods of the table and says so.
    GateStop if the source has no spend, mixes currencies or periods, or counts no outcome.
    """
    frame = warehouse.query_file("control/plan_imported_spend/query.sql", {"source": model.source, "run_date": run_date})
    if frame.is_empty():
        raise GateStop(f"ads.imported_media has no rows of source {model.source} before {run_date}; run import-csv")
    check_currencies(frame["currency_code"], model.currency_code)
    periods = _periods(frame, model)
    recent = -min(RECENT_PERIODS * max(model.period_days // periods.days, 1), len(periods.starts))
    first = periods.starts[recent]
    through = periods.starts[-1] + timedelta(days=periods.days - 1)
    outcomes = read_outcomes(warehouse, model.source, first, through + timedelta(days=1))
    total = float(periods.spend[:, recent:].sum()) * periods.days
    blended = cost_per_outcome(total, outcomes, model.target, model.source)
    current = periods.spend[:, recent:].mean(axis=1)
    target, origin = _target(model, policy, current, blended)
    notes = [
        f"brought numbers of source {model.source}: advice a channel, never applied; {-recent} periods from {first} to {through}",
        f"an increase may cost {target:,.4g} {model.currency_code} an outcome ({origin})",
    ]
    if through > model.window_end_date:
        notes.append(f"the model has seen the table to {model.window_end_date} only; run fit-mmm --source {model.source} again")
    if (run_date - through).days > policy.max_data_age_days:
        notes.append(f"the table ends on {through}, {(run_date - through).days} days before the run date")
    return PlanInputs(
        platform=PLATFORM,
        budgets=tuple(
            _budget(model, policy, channel, float(now), float(top))
            for channel, now, top in zip(model.curves.channels, current, periods.spend.max(axis=1), strict=True)
        ),
        spend=ChannelSpend(current, periods.spend.min(axis=1), periods.spend.max(axis=1)),
        target_cac_micros=int(target * MICROS),
        blended_cac=blended,
        used_micros=_nothing(),
        data_through_date=through,
        notes=tuple(notes),
    )


def _nothing() -> Mapping[str, int]:
    return {}


def _budget(model: LiveModel, policy: Policy, channel: str, current: float, highest: float) -> Budget:
    amount = round_down(int(current * MICROS), policy.unit_micros)
    return Budget(
        platform=PLATFORM,
        account_id=model.source,
        budget_id=channel,
        currency_code=model.currency_code,
        amount_micros=amount,
        status="ENABLED",
        is_explicitly_shared=False,
        reference_count=1,
        campaign_ids=(channel,),
        enabled_campaign_ids=(channel,),
        channels=(channel,),
        recent_spend_micros=amount,
        month_to_date_micros=0,
        month_days=0,
        highest_daily_spend_micros=int(highest * MICROS),
    )
