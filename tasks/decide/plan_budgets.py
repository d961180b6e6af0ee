"""`aelp2 plan-budgets`: propose small daily budget steps towards the optimum, within every cap."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    from tasks.core.policy import Policy
    from tasks.core.settings import Mode, Settings
    from tasks.core.warehouse import Warehouse
    from tasks.decide.plan_writer import PlanRun

PLATFORM = "google_ads"
SOURCE = "platforms"  # the MMM source that is the ad platforms themselves


@click.command("plan-budgets")
@run_date_option
@click.option(
    "--source",
    default="platforms",
    show_default=True,
    help="`platforms` plans the campaign budgets of the ad accounts; the name of an import plans its channels, as advice only.",
)
@click.option(
    "--target",
    default="new_customers",
    show_default=True,
    type=click.Choice(["new_customers", "revenue"]),
    help="Outcome of the live MMM run to plan by; an import without customers has only revenue.",
)
@click.option(
    "--budget-change-pct",
    default=0.0,
    show_default=True,
    type=click.FloatRange(-30, 30),
    help="Change of the total to plan towards. More needs allow_total_growth in the policy and a blended CAC within target.",
)
def command(run_date: date, source: str, target: str, budget_change_pct: float) -> None:
    """Propose small daily budget steps towards the optimum, within every cap. Changes nothing at a platform.

    \b
    aelp2 plan-budgets --run-date 2026-02-26                         # the ad accounts
    aelp2 plan-budgets --run-date 2026-02-26 --source my_sheet       # brought numbers (import-csv), advice a channel
    aelp2 plan-budgets --run-date 2026-02-26 --budget-change-pct -5  # towards a total 5 % smaller

    The optimum comes from the live MMM run over all its posterior draws; each budget moves a small step towards it. Every budget
    gets a row in control.plan_decisions that says what decided, also when it is left alone. Changes go into one change set an
    account, which a person approves (request-approval); the same inputs give the same bytes. A run date is planned once: a second
    run says "already proposed as …" and writes nothing. Exit code 3: no plan today, the message says what stops it.
    """
    from tasks.core.policy import load_policy
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push

    settings = load_settings()
    warehouse = open_warehouse(settings)
    with warehouse.exclusive(f"plan-budgets-{source}"):
        planned = already_proposed(warehouse, settings, run_date, source)
        if planned.covers_all:
            click.echo("\n".join(planned.lines))
            push({"run_date": run_date.isoformat(), "change_set_ids": planned.ids})
            return
        run = prepare(warehouse, settings, load_policy(settings), run_date, source, target, budget_change_pct)
        ids = propose(warehouse, run, planned)
    push({"run_date": run_date.isoformat(), "change_set_ids": sorted({*ids, *planned.ids})})
    stop_if_frozen(run)


@dataclass(frozen=True)
class Planned:
    """Change sets of this run date and mode that exist: by account, with what to tell about them."""

    ids: list[str]
    lines: list[str]
    accounts: frozenset[str]
    covers_all: bool


def mode_of(settings: Settings, source: str) -> Mode:
    """Brought numbers are advice whatever the settings say."""
    return settings.mode if source == SOURCE else "shadow"


def already_proposed(warehouse: Warehouse, settings: Settings, run_date: date, source: str) -> Planned:
    """What was proposed for ``run_date`` before. Each set's first ledger row is written if a crash had left it out."""
    from tasks.decide.proposal import record_proposed

    platform = PLATFORM if source == SOURCE else "imported"
    sets = warehouse.query_file("control/plan_change_sets/query.sql", {"platform": platform, "run_date": run_date}).to_dicts()
    mode = mode_of(settings, source)
    own = [s for s in sets if s["mode"] == mode and (source == SOURCE or s["account_id"] == source)]
    for row in own:
        record_proposed(warehouse, row["change_set_id"], row["sha256"], platform, row["account_id"], row["author"])
    lines = [
        f"already proposed as {row['change_set_id']} ({row['decision'] or 'undecided'}); a run date is planned once"
        for row in own
    ]
    budgets = warehouse.query_file("control/plan_budgets_today/query.sql", {"platform": platform, "run_date": run_date})
    accounts = frozenset(row["account_id"] for row in own)
    every = set(budgets["account_id"]) if source == SOURCE else {source}
    return Planned([row["change_set_id"] for row in own], lines, accounts, bool(accounts) and every <= accounts)


def prepare(
    warehouse: Warehouse, settings: Settings, policy: Policy, run_date: date, source: str, target: str, budget_change_pct: float
) -> PlanRun:
    """Read the inputs and plan; nothing is written. GateStop if the plan has nothing sound to rest on."""
    from tasks.core.flags import AccountFlags
    from tasks.core.money import MICROS
    from tasks.decide.flagged import flag_accounts
    from tasks.decide.imported_inputs import advice_policy, read_imported_inputs
    from tasks.decide.live_model import read_live_model
    from tasks.decide.plan_inputs import read_platform_inputs
    from tasks.decide.plan_writer import PlanRun
    from tasks.decide.planner import plan_budgets

    model = read_live_model(warehouse, source, target, run_date)
    policies: dict[str, Policy] = {}
    if source == SOURCE:
        inputs = read_platform_inputs(warehouse, model, policy, PLATFORM, run_date)
        inputs, policies = flag_accounts(AccountFlags(settings, warehouse), inputs, policy, run_date)
    else:
        policy = advice_policy(policy)
        inputs = read_imported_inputs(warehouse, model, policy, run_date)
    plan = plan_budgets(
        model.curves,
        inputs.spend,
        inputs.budgets,
        policy,
        target_cac=inputs.target_cac_micros / MICROS,
        blended_cac=inputs.blended_cac,
        used_micros=inputs.used_micros,
        run_date=run_date,
        budget_change_pct=budget_change_pct,
        account_policies=policies,
    )
    return PlanRun(run_date, model, inputs, policy, plan, mode_of(settings, source), settings.actor, policies)


def propose(warehouse: Warehouse, run: PlanRun, planned: Planned) -> list[str]:
    """Write decisions, proposals and change sets of the accounts not planned yet, print the plan; ids of the new change sets."""
    from tasks.decide.plan_writer import to_change_set, write_change_set, write_decisions
    from tasks.decide.reasons import plan_table

    # All sets are made, and checked against the caps, before the first row is written.
    accounts = sorted({b.account_id for b in run.inputs.budgets} - planned.accounts)
    sets = {account: to_change_set(run, account) for account in accounts}
    lines = [*planned.lines]
    for account, made in sets.items():
        write_decisions(warehouse, run, account)
        if made is None:
            lines.append(f"{run.inputs.platform}:{account}: no change today; control.plan_decisions says why for every budget")
            continue
        write_change_set(warehouse, run, made)
        lines.append(f"proposed {made.change_set_id} ({made.mode}, {len(made.changes)} changes, sha256 {made.sha256})")
    head = (
        f"plan of {run.run_date} on {run.model.source}, data through {run.inputs.data_through_date}, MMM run {run.model.run_id}"
    )
    click.echo(
        "\n".join([head, *plan_table(run.plan, run.model.target), *(f"note: {note}" for note in run.inputs.notes), *lines])
    )
    return [made.change_set_id for made in sets.values() if made is not None]


def stop_if_frozen(run: PlanRun) -> None:
    """GateStop naming the frozen accounts, after the plan of the others is written."""
    from tasks.core.errors import GateStop

    frozen = {b.account_id: b for b in run.inputs.budgets if b.frozen_why is not None}
    if frozen:
        names = "; ".join(f"{run.inputs.platform}:{account} ({b.frozen_why})" for account, b in sorted(frozen.items()))
        remedy = f". After a person has looked: aelp2 kill --off --scope {run.inputs.platform}:ACCOUNT --why …"
        raise GateStop(f"frozen, no proposals: {names}{'' if all(b.is_frozen_by_flag for b in frozen.values()) else remedy}")
