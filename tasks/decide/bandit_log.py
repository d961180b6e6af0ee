"""Decisions as rows of models.bandit_decisions, and from such rows the same decisions again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from tasks.decide.bandit_split import Arm, Choice, Reserve, Rules, decide

GROUP = ("platform", "account_id", "campaign_id", "adgroup_id", "arm_kind")
SEGMENTS = ("weekday", "weekend")
Row = dict[str, Any]


def segment_of(day: date) -> int:
    """Index of the segment of a day, the context of the linear policies."""
    return 1 if day.weekday() >= 5 else 0


def seed_of(base: int, run_date: date, group: Sequence[str]) -> int:
    """The seed of one group's decision on one day, the same on every machine; 32 bits, as MABWiser's generator takes."""
    digest = hashlib.sha256("/".join([str(base), run_date.isoformat(), *group]).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def arms_of(posteriors: Sequence[Row]) -> list[Arm]:
    """Arms of one group from its rows of models.bandit_posteriors in all segments, sorted by id."""
    by_arm: dict[str, dict[str, Row]] = {}
    for row in posteriors:
        by_arm.setdefault(row["arm_id"], {})[row["segment"]] = row
    found = []
    for arm_id, rows in sorted(by_arm.items()):
        whole = rows["all"]
        found.append(
            Arm(
                arm_id,
                whole["alpha"],
                whole["exposure_spend"],
                whole["cac_alpha"],
                whole["cac_exposure_spend"],
                whole["spend_micros"],
                whole["arm_status"] == "ENABLED",
                whole["is_fatigued"],
                tuple((rows[name]["alpha"], rows[name]["exposure_spend"]) for name in SEGMENTS),
            )
        )
    return found


def decision_rows(
    choices: Sequence[Choice], rules: Rules, posteriors: Sequence[Row], run_date: date, seed: int, decided_at: datetime
) -> Iterator[Row]:
    """One row per arm. ``context`` and ``action_set`` hold all that ``decide_again`` needs beside the posteriors."""
    first = posteriors[0]
    shared = {name: first[name] for name in (*GROUP, "posterior_version", "currency_code")} | {
        "run_date": run_date,
        "cac_cap_micros": rules.cac_cap_micros,
        "policy": rules.policy,
        "context": json.dumps({"segment": SEGMENTS[rules.segment], "rules": asdict(rules)}, sort_keys=True),
        "action_set": json.dumps([choice.arm_id for choice in choices if choice.action != "pause"]),
        "seed": seed,
        "decided_at": decided_at,
    }
    for choice in choices:
        yield shared | {
            "arm_id": choice.arm_id,
            "action": choice.action,
            "split_share_ppm": choice.share_ppm,
            "explore_share_ppm": choice.explore_ppm,
            "reserve_ppm": choice.reserve_ppm,
            "propensity": choice.share_ppm / 1e6,
            "is_chosen": choice.is_chosen,
            "is_leader": choice.is_leader,
            "p_best": choice.p_best,
            "p_cac_above_cap": choice.p_cac_above_cap,
            "reason": choice.reason,
        }


def decide_again(logged: Sequence[Row], posteriors: Sequence[Row]) -> list[Choice]:
    """The choices of one logged group from its seed, its rules and the posteriors of its version, by arm id."""
    rules = json.loads(logged[0]["context"])["rules"]
    decided = {row["arm_id"] for row in logged}
    arms = [arm for arm in arms_of(posteriors) if arm.arm_id in decided]
    return decide(arms, Rules(**(rules | {"reserve": Reserve(**rules["reserve"])})), logged[0]["seed"])


def differences(logged: Sequence[Row], again: Sequence[Choice]) -> list[str]:
    """What a repeated decision has otherwise than the log, one line an arm; empty if nothing."""
    by_arm = {choice.arm_id: choice for choice in again}
    found = []
    for row in logged:
        choice = by_arm.get(row["arm_id"])
        before = (row["action"], row["split_share_ppm"], row["explore_share_ppm"], row["is_chosen"], row["p_best"])
        after = choice and (choice.action, choice.share_ppm, choice.explore_ppm, choice.is_chosen, choice.p_best)
        if before != after:
            found.append(f"{row['campaign_id']}/{row['adgroup_id']}/{row['arm_id']}: logged {before}, decided again {after}")
    return found
