"""What came of a run of the loop: told from the sandbox's own state and, independently, from the ledger; they must agree."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from local_airflow import ROOT

Json = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How the change sets of budgets and of ads were decided (approved, rejected, expired, nothing), and what both sides say."""

    verdict: str
    ads_verdict: str
    run_date: date
    platform_before: Json
    platform_after: Json
    facts: dict[str, list[Json]]


def read_facts(env: Mapping[str, str], run_date: date) -> dict[str, list[Json]]:
    """The warehouse's rows about ``run_date``; see loop_facts.py."""
    command = [str(ROOT / ".venv/bin/python"), str(ROOT / "scripts/loop_facts.py"), "--run-date", run_date.isoformat()]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, env=inherited | env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the warehouse could not be read: {done.stderr[-800:]}")
    facts: dict[str, list[Json]] = json.loads(done.stdout)
    return facts


def _budgets(state: Json) -> dict[str, int]:
    return {str(budget["budget_id"]): int(budget["amount_micros"]) for budget in state["budgets"]}


def _ads(state: Json) -> dict[str, str]:
    return {str(ad["ad_id"]): "ENABLED" if ad["is_enabled"] else "PAUSED" for ad in state["ads"]}


def _amount(micros: int, currency: str) -> str:
    return f"{micros / 1e6:,.2f} {currency}"


def disagreements(outcome: Outcome) -> list[str]:
    """Where the platform, the ledger and the decision do not fit together; empty if all is well."""
    before, after = _budgets(outcome.platform_before), _budgets(outcome.platform_after)
    proposals = {p["change_id"]: p for p in outcome.facts["proposals"]}
    applied = {e["change_id"] for e in outcome.facts["ledger"] if e["event"] == "applied" and e["change_id"]}
    rolled_back = {e["change_id"] for e in outcome.facts["ledger"] if e["event"] == "rolled_back" and e["change_id"]}
    wrong = []
    expected = dict(before)
    for change_id, proposal in proposals.items():
        if change_id in applied:
            side = "amount_before_micros" if change_id in rolled_back else "amount_after_micros"
            expected[proposal["budget_id"]] = proposal[side]
    for budget_id, amount in after.items():
        if expected[budget_id] != amount:
            wrong.append(f"budget {budget_id}: the platform holds {amount} micros, the ledger says {expected[budget_id]}")
    if outcome.verdict in {"rejected", "expired"} and before != after:
        wrong.append(f"the change set was {outcome.verdict}, but budgets changed")
    if outcome.verdict == "approved" and proposals and not applied & set(proposals):
        wrong.append("the change set was approved, but the ledger has no applied change")
    return wrong + _ad_disagreements(outcome)


def _ad_disagreements(outcome: Outcome) -> list[str]:
    """The same of ads: each has the status of its last switch in the ledger, or the one it had before."""
    expected, after = _ads(outcome.platform_before), _ads(outcome.platform_after)
    switched = [e for e in outcome.facts["ledger"] if e["ad_id"] and e["event"] in ("applied", "rolled_back")]
    for event in switched:
        expected[event["ad_id"]] = event["status_after"]
    wrong = [
        f"ad {ad_id}: the platform says {status}, the ledger {expected[ad_id]}"
        for ad_id, status in after.items()
        if status != expected[ad_id]
    ]
    if outcome.ads_verdict in {"rejected", "expired"} and switched:
        wrong.append(f"the change set of ads was {outcome.ads_verdict}, but ads were switched")
    proposed = any(row["decision"] != "hold" for row in outcome.facts["ads"])
    if outcome.ads_verdict == "approved" and proposed and not switched:
        wrong.append("the change set of ads was approved, but the ledger has no switched ad")
    return wrong


def _print_changes(outcome: Outcome, say: Callable[[str], None]) -> None:
    before, after = _budgets(outcome.platform_before), _budgets(outcome.platform_after)
    if not outcome.facts["proposals"]:
        say("  every budget stays as it is:")
        for held in outcome.facts["held"]:
            say(f"  budget {held['budget_id']} [{held['constraint']}]: {held['detail']}")
    for p in outcome.facts["proposals"]:
        budget, currency = p["budget_id"], p["currency_code"]
        was, wanted = _amount(p["amount_before_micros"], currency), _amount(p["amount_after_micros"], currency)
        say(f"  budget {budget} ({p['channel']}): {was} → {wanted}")
        say(f"      why: {p['reason']} [limit: {p['binding_constraint']}]")
        say(f"      the platform holds {_amount(after[budget], currency)}; before this run {_amount(before[budget], currency)}")


def _print_ads(outcome: Outcome, say: Callable[[str], None]) -> None:
    after = _ads(outcome.platform_after)
    held: dict[str, int] = {}
    for ad in outcome.facts["ads"]:
        if ad["decision"] == "hold":
            held[ad["constraint"]] = held.get(ad["constraint"], 0) + 1
        else:
            say(f"  {ad['decision']} ad {ad['ad_id']}: {ad['detail']}; the platform says {after[ad['ad_id']]}")
    if held:
        say("  as it is: " + ", ".join(f"{number} [{why}]" for why, number in sorted(held.items())))


def print_summary(outcome: Outcome, reports: Path, seconds: float) -> int:
    """Write the summary to stdout; 0 if platform, ledger and decision agree, else 1."""

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")

    facts = outcome.facts
    wrong = disagreements(outcome)
    say(f"\n{'═' * 100}\nSummary of run date {outcome.run_date} ({seconds:.0f} s)\n")
    say(f"Proposed: {len(facts['proposals'])} changes")
    _print_changes(outcome, say)
    say(f"Ads: {sum(ad['decision'] != 'hold' for ad in facts['ads'])} switches proposed, {outcome.ads_verdict}")
    _print_ads(outcome, say)
    say("\nDecided:")
    for row in facts["approvals"]:
        say(f"  {row['decision']} by {row['approver']}, sha256 {row['sha256']}")
    if not facts["approvals"]:
        say("  nothing")
    counts: dict[str, int] = {}
    for row in facts["ledger"]:
        counts[row["event"]] = counts.get(row["event"], 0) + 1
    say("\nLedger (control.canary_changes): " + (", ".join(f"{event} {n}" for event, n in counts.items()) or "no row"))
    made = len(outcome.platform_after["changes"]) - len(outcome.platform_before["changes"])
    say(f"Changes the platform saw in this run: {made}")
    if outcome.verdict == "nothing" and facts["approvals"]:
        say("Nothing was left to decide: this day's change set was decided earlier, and nothing was applied again.")
    pages = sorted(reports.glob("**/*.html"), key=lambda page: page.stat().st_mtime) if reports.exists() else []
    say(f"Report: {pages[-1] if pages else 'none was written'}")
    if wrong:
        say("\nPLATFORM, LEDGER AND DECISION DISAGREE:\n  " + "\n  ".join(wrong))
    else:
        say("Platform, ledger and decision agree.")
    return 1 if wrong else 0
