"""`aelp2 choose-arms`: from posteriors to a split of each group's spend, logged with its propensities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.policy import Policy
    from tasks.core.warehouse import Warehouse
    from tasks.decide.bandit_split import Reserve, Rules

EXPLORED_DAYS = 60  # days over which spend on exploration is held against the policy's share
Row = dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """What the caller wants of a run."""

    run_date: date
    policy_name: str
    seed: int


def groups_of(rows: pl.DataFrame) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    """The rows of each group, in the order of the query."""
    from tasks.decide.bandit_log import GROUP

    for key, found in groupby(rows.iter_rows(named=True), key=lambda row: tuple(str(row[name]) for name in GROUP)):
        yield key, list(found)


def read_reserves(warehouse: Warehouse, policy: Policy, run_date: date) -> dict[tuple[str, str], Reserve]:
    """Today's reserve for the ads of each account that has explored before, from what that cost in spend."""
    from tasks.decide.bandit_split import Explored, reserve_of

    rows = warehouse.query_file(
        "models/bandit_exploration/query.sql", {"run_date": run_date, "start_date": run_date - timedelta(days=EXPLORED_DAYS)}
    )
    target = float(policy.exploration_pct) / 100
    return {
        (row["platform"], row["account_id"]): reserve_of(
            target,
            Explored(row["spend_micros"], row["explore_spend_micros"], row["week_spend_micros"], row["decided_days"]),
        )
        for row in rows.iter_rows(named=True)
    }


def eligible(rows: list[Row], last_actions: dict[tuple[str, ...], str]) -> list[Row]:
    """The rows of arms that run, and of ads that the bandit itself had paused: what a person paused stays paused."""
    from tasks.decide.bandit_log import GROUP

    def may(row: Row) -> bool:
        key = tuple(str(row[name]) for name in (*GROUP, "arm_id"))
        is_ours = row["arm_kind"] == "ad" and last_actions.get(key) in ("pause", "enable")
        return row["arm_status"] == "ENABLED" or (row["arm_status"] == "PAUSED" and is_ours)

    return [row for row in rows if may(row)]


def rules_of(policy: Policy, ask: Ask, rows: list[Row], reserve: Reserve, cap: int | None) -> Rules:
    """The rules of one group's decision; ``cap`` in the currency its arms are paid in."""
    from tasks.decide.bandit_log import segment_of
    from tasks.decide.bandit_split import Rules

    return Rules(
        policy=ask.policy_name,  # type: ignore[arg-type]  # click lets only the names of POLICIES through
        reserve=reserve,
        cac_cap_micros=cap,
        drop_probability=float(policy.bandit_drop_probability),
        min_sample_micros=policy.bandit_min_sample * (cap or 0),
        day_spend_micros=rows[0]["group_day_spend_micros"],
        segment=segment_of(ask.run_date),
    )


def caps_of(policy: Policy, currencies: Iterable[str], rates: Mapping[str, float]) -> dict[str, int | None]:
    """Currency → the policy's cap of a conversion in it; ``rates`` are units of the reporting currency for one unit of each.

    The policy's amount is in the reporting currency. With one currency and no rates it is taken as that currency's. GateStop if a
    rate is missing: 50 dollars are not 50 yen.
    """
    from tasks.core.errors import GateStop

    cap, codes = policy.bandit_cac_cap_micros or policy.target_cac_micros, sorted(set(currencies))
    if cap is None or (len(codes) == 1 and not rates):
        return dict.fromkeys(codes, cap)
    if missing := [code for code in codes if not rates.get(code)]:
        raise GateStop(
            f"the policy's cap of a conversion is one number, but arms are paid in {', '.join(codes)}, and there is no rate of "
            f"{', '.join(missing)}; run `aelp2 ingest-fx`, or leave bandit_cac_cap_micros and target_cac_micros unset"
        )
    return {code: round(cap / rates[code]) for code in codes}


def choose(warehouse: Warehouse, policy: Policy, ask: Ask) -> dict[str, int]:
    """Decide every group that has no decision of the day yet; NothingToDo without posteriors of the day."""
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract
    from tasks.core.errors import NothingToDo
    from tasks.decide.bandit_log import GROUP, arms_of, decision_rows, seed_of
    from tasks.decide.bandit_split import PPM, Explored, Reserve, decide, reserve_of

    day = {"run_date": ask.run_date}
    state = warehouse.query_file("models/bandit_newest_posteriors/query.sql", day)
    if state.is_empty():
        raise NothingToDo(f"models.bandit_posteriors has no rows of {ask.run_date}; run fit-bandits")
    rates = dict(warehouse.query_file("ads/fx_today/query.sql", day).iter_rows())
    caps = caps_of(policy, state["currency_code"].unique(), rates)
    decided = {key for key, _ in groups_of(warehouse.query_file("models/bandit_logged_decisions/query.sql", day))}
    actions = warehouse.query_file("models/bandit_last_actions/query.sql", day)
    last = {tuple(map(str, row[:-1])): str(row[-1]) for row in actions.select(*GROUP, "arm_id", "action").iter_rows()}
    reserves, now = read_reserves(warehouse, policy, ask.run_date), utc_now()
    target = float(policy.exploration_pct) / 100
    first, advice = reserve_of(target, Explored()), Reserve(round(target * PPM))
    rows: list[Row] = []
    for key, group in groups_of(state):
        able = eligible(group, last)
        if key in decided or not able:
            continue
        # The account of exploration is kept in spend on ads. What is decided about the others nobody carries out: they get the
        # policy's share and neither borrow nor owe.
        reserve = reserves.get((key[0], key[1]), first) if able[0]["arm_kind"] == "ad" else advice
        rules = rules_of(policy, ask, able, reserve, caps[able[0]["currency_code"]])
        seed = seed_of(ask.seed, ask.run_date, key)
        rows += decision_rows(decide(arms_of(able), rules, seed), rules, able, ask.run_date, seed, now)
    frame = pl.DataFrame(rows, schema=load_contract("models.bandit_decisions").polars_schema())
    new = warehouse.insert_new("models.bandit_decisions", frame) if rows else 0
    return {"groups": len({tuple(row[name] for name in GROUP) for row in rows}), "arms": new, "decided_before": len(decided)}


def replay(warehouse: Warehouse, run_date: date) -> int:
    """Decide the day's logged groups again; how many there were. GateStop names what came out otherwise."""
    from tasks.core.errors import GateStop, NothingToDo
    from tasks.decide.bandit_log import decide_again, differences

    day = {"run_date": run_date}
    logged = dict(groups_of(warehouse.query_file("models/bandit_logged_decisions/query.sql", day)))
    if not logged:
        raise NothingToDo(f"models.bandit_decisions has no rows of {run_date}")
    state = dict(groups_of(warehouse.query_file("models/bandit_logged_posteriors/query.sql", day)))
    missing = [f"{'/'.join(key)}: its posteriors are gone" for key in logged if key not in state]
    wrong = missing + [
        line for key, rows in logged.items() if key in state for line in differences(rows, decide_again(rows, state[key]))
    ]
    if wrong:
        raise GateStop(f"{len(wrong)} decisions of {run_date} cannot be repeated from the log: " + "; ".join(wrong[:5]))
    return len(logged)


@click.command("choose-arms")
@click.option(
    "--policy",
    "policy_name",
    default="thompson",
    show_default=True,
    type=click.Choice(["thompson", "ucb", "lin_ts", "lin_ucb"]),
    help="What names the leader and what may be the best; the linear ones by weekday and weekend.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="Base of the seeds of all groups.")
@click.option("--replay", "is_replay", is_flag=True, help="Decide the day's logged decisions again and compare; write nothing.")
@run_date_option
def command(policy_name: str, seed: int, is_replay: bool, run_date: date) -> None:
    """Split each ad group's spend over its ads, and anew over its keywords or audiences; log it with propensities and state.

    The best arm gets what is not explored; `exploration_pct` of spend goes to the others, for ads counted in spend afterwards and
    made up for. An arm surely dearer than the cap is dropped once it has had its minimum sample. A day is decided once. Changes
    nothing at a platform; of all that is decided only ads come to be switched, by `plan-ads`.

    \b
    aelp2 choose-arms --run-date 2026-03-02
    aelp2 choose-arms --run-date 2026-03-02 --policy lin_ts
    aelp2 choose-arms --run-date 2026-03-02 --replay

    Exit code 99: fit-bandits has left nothing for the day. 3: --replay found a decision that the log does not explain.
    """
    from tasks.core import xcom
    from tasks.core.policy import load_policy
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse

    settings = load_settings()
    warehouse = open_warehouse(settings)
    if is_replay:
        click.echo(f"{replay(warehouse, run_date):,} groups decided again, all as logged")
        return
    found = choose(warehouse, load_policy(settings), Ask(run_date, policy_name, seed))
    click.echo(
        f"{found['groups']:,} groups with {found['arms']:,} arms decided; {found['decided_before']:,} had been decided before"
    )
    xcom.push(found)
