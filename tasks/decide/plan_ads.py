"""`aelp2 plan-ads`: propose enabling and pausing ads as the bandits decided, within every rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option
from tasks.core.clock import utc_now

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.ad_changes import AdKey, AdStatusSet
    from tasks.core.caps import Move
    from tasks.core.flags import Tightened
    from tasks.core.ledger import SetHistory
    from tasks.core.policy import Policy
    from tasks.core.settings import Settings
    from tasks.core.switches import Switch
    from tasks.core.warehouse import Warehouse
    from tasks.decide.ad_plan import Account, Choice, Decision

LOG_DAYS = 30  # as far back as the platforms keep what others did


@click.command("plan-ads")
@run_date_option
def command(run_date: date) -> None:
    """Propose enabling and pausing ads as the bandits decided, within every rule. Changes nothing at a platform.

    \b
    aelp2 plan-ads --run-date 2026-02-26

    Every decision about an ad gets a row in control.ad_decisions that says what became of it. Changes go into one change set an
    account, which a person approves (request-approval --kind ad_status); the same inputs give the same bytes. A run date is
    planned once. A set of an earlier day that nobody has decided on is withdrawn: one question at a time. Without decisions there
    is nothing to do.
    """
    from tasks.core.errors import GateStop
    from tasks.core.policy import load_policy
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push

    settings = load_settings()
    warehouse = open_warehouse(settings)
    with warehouse.exclusive("plan-ads"):
        plans, unknown = read_plans(warehouse, settings, load_policy(settings), run_date)
        ids = [i for plan in plans for i in propose(warehouse, plan)]
    push({"run_date": run_date.isoformat(), "change_set_ids": ids})
    if unknown:  # after the others are planned: one account that is gone does not hold them up for as long as it is remembered
        raise GateStop(f"no ads of {', '.join(unknown)} are loaded for {run_date}; run ingest-ads --run-date {run_date}")


@dataclass(frozen=True)
class AccountPlan:
    """The plan of one account, before it is written."""

    run_date: date
    settings: Settings
    policy: Policy
    account: Account
    currency_code: str
    data_through_date: date
    decisions: Sequence[Decision]
    choices: Sequence[Choice]


@dataclass(frozen=True)
class Common:
    """What is read once for all accounts: others' switches of ads, kill switch and freezes, and the day's drift."""

    now: datetime
    events: pl.DataFrame
    switches: Mapping[str, Switch]
    drift: pl.DataFrame


def read_common(warehouse: Warehouse, run_date: date) -> Common:
    """See :class:`Common`."""
    from tasks.core.switches import read_switches

    now = utc_now()
    return Common(
        now,
        warehouse.query_file("control/plan_ad_switches/query.sql", {"since": now - timedelta(days=LOG_DAYS)}),
        read_switches(warehouse),
        warehouse.query_file("control/readiness_drift/query.sql", {"run_date": run_date}),
    )


def read_plans(warehouse: Warehouse, settings: Settings, policy: Policy, run_date: date) -> tuple[list[AccountPlan], list[str]]:
    """The plan of every account with decisions of the day, and the accounts whose ads are not loaded; NothingToDo without any."""
    from tasks.core.errors import NothingToDo
    from tasks.core.flags import AccountFlags
    from tasks.decide.ad_plan import Decision, plan_ads

    frame = warehouse.query_file("control/plan_ad_decisions/query.sql", {"run_date": run_date})
    if not frame.height:
        raise NothingToDo(f"no bandit has decided about an ad for {run_date}")
    about = warehouse.query_file("control/plan_ad_accounts/query.sql", {"run_date": run_date})
    known = {(row["platform"], row["account_id"]): row for row in about.iter_rows(named=True)}
    plans, unknown, flags, common = [], [], AccountFlags(settings, warehouse), read_common(warehouse, run_date)
    for platform, account_id in frame.select("platform", "account_id").unique(maintain_order=True).iter_rows():
        own = frame.filter((frame["platform"] == platform) & (frame["account_id"] == account_id))
        names = ("campaign_id", "adgroup_id", "ad_id", "action", "reason")
        decisions = [Decision(**row) for row in own.select(names).iter_rows(named=True)]
        tightened = flags.tightened(policy, platform, account_id, run_date)  # raises before anything is written
        withdraw_undecided(warehouse, settings, platform, account_id, run_date)
        account = read_account(warehouse, common, tightened, platform, account_id, run_date)
        row = known.get((platform, account_id))
        if row is None or not account.ads:
            unknown.append(f"{platform}:{account_id}")
            continue
        choices = plan_ads(decisions, account, run_date)
        facts = (row["currency_code"], row["data_through_date"])
        plans.append(AccountPlan(run_date, settings, tightened.policy, account, *facts, decisions, choices))
    return plans, unknown


def read_account(
    warehouse: Warehouse, common: Common, tightened: Tightened, platform: str, account_id: str, run_date: date
) -> Account:
    """What the rules look at."""
    from tasks.core import caps
    from tasks.core.ad_sets import held_ad_groups, load_ads
    from tasks.core.ledger import Ledger
    from tasks.decide.ad_plan import Account
    from tasks.platforms import adapter_of

    now, events = common.now, common.events
    logged = _logged(events.filter((events["platform"] == platform) & (events["account_id"] == account_id)))
    own = Ledger(warehouse).ad_moves(platform, account_id, now - caps.WINDOW)
    used = caps.used_daily_micros(own, logged, now)
    histories = Ledger(warehouse).histories(platform, account_id)
    return Account(
        platform=platform,
        account_id=account_id,
        ads=load_ads(warehouse, platform, account_id, run_date),
        held=held_ad_groups(warehouse, platform, account_id, now),
        paused_by_us=paused_by_us(histories, logged, now - timedelta(days=LOG_DAYS)),
        room=max(tightened.policy.max_ad_changes_per_day - used, 0),
        frozen_why=frozen_why(common.switches, platform, account_id) or tightened.frozen_why,
        resting=taken_back(histories, now - timedelta(days=tightened.policy.learning_days)),
        drift_why=drift_why(common.drift, platform, account_id),
        is_by_hand=not adapter_of(platform).switches_ads,
    )


def frozen_why(switches: Mapping[str, Switch], platform: str, account_id: str) -> str:
    """Why nothing of the account may be changed now; empty if it may: what is frozen is not asked about."""
    from tasks.core.switches import ALL, account_scope, on_for

    on = on_for(switches, (ALL, account_scope(platform, account_id)))
    return "; ".join(f"switch {s.scope!r} is on: {s.why}" for s in on)


def drift_why(drift: pl.DataFrame, platform: str, account_id: str) -> str:
    """The account's critical drift of the day that nobody has acknowledged; empty without. Bandits learnt on other data."""
    own = [
        row
        for row in drift.iter_rows(named=True)
        if (row["platform"], row["account_id"]) == (platform, account_id) and row["critical"]
    ]
    return f"{own[0]['critical']} critical drifts, first {own[0]['first_critical']}" if own else ""


def _logged(events: pl.DataFrame) -> list[Move]:
    from tasks.core import caps

    return [
        caps.status_move(*row) for row in events.select("resource_id", "changed_at", "status_before", "status_after").iter_rows()
    ]


def paused_by_us(histories: Sequence[SetHistory], logged: Sequence[Move], since: datetime) -> set[AdKey]:
    """Ads whose last switch in the ledger is a pause of ours, unless the log since ``since`` holds more pauses than ours.

    Then somebody paused it too, and it is theirs. Times are not compared: the platform's clock and ours differ.
    """
    from tasks.core.ad_changes import PAUSED, ad_resource_id

    rows = [r for h in histories for r in h.rows if r.event in ("applied", "rolled_back") and r.ad_id is not None]
    rows.sort(key=lambda r: r.seq)
    last = {r.ad_key: r.status_after for r in rows}
    ours = Counter(r.resource_id for r in rows if r.status_after == PAUSED and r.at >= since)
    everybodys = Counter(m.budget_id for m in logged if m.amount_after_micros == 0)
    return {key for key, status in last.items() if status == PAUSED and everybodys[name := ad_resource_id(key)] <= ours[name]}


def taken_back(histories: Sequence[SetHistory], since: datetime) -> dict[AdKey, date]:
    """Ad → the day on which its switch was rolled back since ``since``; it rests as a budget does after a change."""
    rows = [r for h in histories for r in h.rows if r.event == "rolled_back" and r.ad_id is not None and r.at > since]
    return {r.ad_key: r.at.date() for r in sorted(rows, key=lambda r: r.seq)}


def withdraw_undecided(warehouse: Warehouse, settings: Settings, platform: str, account_id: str, run_date: date) -> None:
    """Let sets of earlier days expire that nobody has decided on; their ad groups are free for today's plan."""
    from tasks.core.ledger import Event, Ledger

    frame = warehouse.query(
        "SELECT change_set_id, sha256 FROM control.change_sets WHERE platform = @platform AND account_id = @account_id "
        "AND run_date < @run_date AND kind = 'ad_status' ORDER BY change_set_id",
        {"platform": platform, "account_id": account_id, "run_date": run_date},
    )
    ledger = Ledger(warehouse)
    for change_set_id, sha256 in frame.iter_rows():
        if ledger.history(change_set_id).state == "proposed":
            detail = {"why": f"withdrawn by the plan of {run_date}"}
            ledger.append(Event(change_set_id, platform, account_id, "expired", sha256, settings.actor, detail=detail))


def to_ad_set(plan: AccountPlan) -> AdStatusSet | None:
    """The change set of a plan, or None if nothing changes."""
    from tasks.core.ad_changes import AdStatusSet, make_ad_set
    from tasks.decide.ad_plan import decisions_sha256

    changes = tuple(c.change for c in plan.choices if c.change is not None)
    if not changes:
        return None
    return make_ad_set(
        AdStatusSet(
            platform=plan.account.platform,
            account_id=plan.account.account_id,
            currency_code=plan.currency_code,
            run_date=plan.run_date,
            author=plan.settings.actor,
            mode=plan.settings.mode,
            decisions_sha256=decisions_sha256(plan.decisions),
            policy_sha256=plan.policy.sha256(),
            data_through_date=plan.data_through_date,
            changes=changes,
        )
    )


def propose(warehouse: Warehouse, plan: AccountPlan) -> list[str]:
    """Write what became of each decision, then the set, then its ledger row; a crash in between leaves nothing half-made.

    A run date is planned once: what is there is told, and only a ledger row that a crash left out is written.
    """
    from tasks.decide.proposal import record_proposed, store

    name = f"{plan.account.platform}:{plan.account.account_id}"
    earlier = _proposed(warehouse, plan)
    if earlier is not None:
        change_set_id, sha256, author = earlier
        record_proposed(warehouse, change_set_id, sha256, plan.account.platform, plan.account.account_id, author)
        click.echo(f"{name}: already proposed as {change_set_id}; a run date is planned once")
        return [change_set_id]
    made, now = to_ad_set(plan), utc_now()
    _write_choices(warehouse, plan, now)
    for choice in plan.choices:
        if choice.constraint not in ("kept", "already"):
            click.echo(
                f"  ad {choice.decision.ad_id} of ad group {choice.decision.adgroup_id}: {choice.outcome}; {choice.detail}"
            )
    if made is None:
        click.echo(f"{name}: no ad is switched today; control.ad_decisions says why")
        return []
    store(warehouse, made, now, plan.policy.approval_hours)
    click.echo(f"{name}: proposed {made.change_set_id} ({made.mode}, {len(made.changes)} ads, sha256 {made.sha256})")
    return [made.change_set_id]


def _proposed(warehouse: Warehouse, plan: AccountPlan) -> tuple[str, str, str] | None:
    """(id, hash, author) of the set of the day in this mode, if there is one."""
    found = warehouse.query(
        "SELECT change_set_id, sha256, author, mode FROM control.change_sets WHERE platform = @platform "
        "AND account_id = @account_id AND run_date = @run_date AND kind = 'ad_status' ORDER BY created_at DESC",
        {"platform": plan.account.platform, "account_id": plan.account.account_id, "run_date": plan.run_date},
    )
    own = found.filter(found["mode"] == plan.settings.mode)
    return (own["change_set_id"][0], own["sha256"][0], own["author"][0]) if own.height else None


def _write_choices(warehouse: Warehouse, plan: AccountPlan, now: datetime) -> None:
    from tasks.decide.proposal import frame

    rows = [
        {
            "run_date": plan.run_date,
            "platform": plan.account.platform,
            "account_id": plan.account.account_id,
            "campaign_id": c.decision.campaign_id,
            "adgroup_id": c.decision.adgroup_id,
            "ad_id": c.decision.ad_id,
            "decision": c.outcome,
            "constraint": c.constraint,
            "detail": c.detail,
            "decided_at": now,
        }
        for c in plan.choices
    ]
    warehouse.merge("control.ad_decisions", frame("control.ad_decisions", rows))
