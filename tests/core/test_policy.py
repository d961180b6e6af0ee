"""The policy file may tighten the caps of the code, never loosen them, and says what is wrong with it."""

import dataclasses
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import JobError
from tasks.core.policy import Policy, load_policy, load_policy_file, parse_policy
from tasks.core.settings import load_settings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step_cap_pct", 5.01),
        ("step_cap_pct", "5.0000001"),
        ("daily_cap_pct", 10.5),
        ("daily_cap_pct", 100),
        ("min_probability", 0.49),
        ("min_probability", 0),
        ("headroom_pct", 101),
        ("max_cac_breach_pct", 51),
        ("watch_confidence", 0.9999),
        ("approval_hours", 73),
        ("max_data_age_days", 15),
        ("watch_days", 0),
        ("unit_micros", 1),
        ("exploration_pct", 51),
        ("bandit_drop_probability", 0.4),
        ("bandit_min_sample", 0),
    ],
)
def test_yaml_cannot_loosen_a_cap(key: str, value: object) -> None:
    """M2, M3, M4: the bounds stand in the code; a file beyond them is refused, not clipped."""
    with pytest.raises(JobError, match=rf"policy\.yaml: policy {key}: .* is not between"):
        parse_policy({key: value}, "policy.yaml")


@pytest.mark.parametrize("word", [".inf", "-.inf", ".nan", "Infinity", "sNaN", "-1"])
@pytest.mark.parametrize("key", ["step_cap_pct", "daily_cap_pct", "min_probability"])
def test_no_trick_number_passes(tmp_path: Path, key: str, word: str) -> None:
    """Infinity and not-a-number compare oddly; none of them is a cap (M2, M3, M4)."""
    file = tmp_path / "policy.yaml"
    file.write_text(f"{key}: {word}\n")
    with pytest.raises(JobError, match=key):
        load_policy_file(file)


@given(pct=st.decimals(0, 5, places=4), daily=st.decimals(0, 10, places=4))
def test_yaml_may_tighten(pct: Decimal, daily: Decimal) -> None:
    """Any value within the bounds is taken exactly as written."""
    policy = parse_policy({"step_cap_pct": str(pct), "daily_cap_pct": str(daily)}, "policy.yaml")
    assert (policy.step_cap_pct, policy.daily_cap_pct) == (pct, daily)


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    """A misspelt cap must not be a cap that does not hold."""
    with pytest.raises(JobError, match=r"unknown keys \['1', 'step_cap'\]; known: step_cap_pct, "):
        parse_policy({"step_cap": 1, 1: 2}, "policy.yaml")  # type: ignore[dict-item]


def test_self_approval_is_no_setting() -> None:
    """Nobody approves an own proposal, whatever the file says (M1)."""
    assert Policy().forbid_self_approval
    with pytest.raises(JobError, match="unknown keys"):
        parse_policy({"forbid_self_approval": False}, "policy.yaml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step_cap_pct", True),
        ("step_cap_pct", None),
        ("step_cap_pct", [5]),
        ("step_cap_pct", "five"),
        ("learning_days", 7.0),
        ("learning_days", True),
        ("learning_days", "7"),
        ("min_step_micros", 1.5),
        ("min_step_micros", -1),
        ("target_cac_micros", 60.0),
        ("allow_total_growth", "yes"),
        ("allow_total_growth", 1),
        ("budget_floor_micros", [1]),
        ("budget_floor_micros", {"1": 1.5}),
        ("budget_ceiling_micros", {"1": -5}),
        ("fixed_campaign_ids", "111"),
        ("fixed_campaign_ids", [1.5]),
        ("fixed_campaign_ids", [True]),
        ("allowed_accounts", "google_ads:1"),
        ("allowed_accounts", ["1234567890"]),
        ("allowed_accounts", ["google_ads:"]),
        ("allowed_accounts", ["google_ads:*"]),
        ("allowed_accounts", ["google_ads:1\n"]),
        ("allowed_accounts", None),
    ],
)
def test_a_value_of_the_wrong_type_is_named(key: str, value: object) -> None:
    """The error names file and key; nothing is guessed from a near type, and no pattern stands for all accounts."""
    with pytest.raises(JobError, match=f"policy.yaml: policy {key}"):
        parse_policy({key: value}, "policy.yaml")


def test_amounts_must_fit_together() -> None:
    """A floor above its ceiling, and amounts in steps that the platform does not take."""
    with pytest.raises(JobError, match="floor 20000 above its ceiling 10000"):
        parse_policy({"budget_floor_micros": {"b": 20_000}, "budget_ceiling_micros": {"b": 10_000}}, "policy.yaml")
    with pytest.raises(JobError, match="not a multiple of 10000"):
        parse_policy({"unit_micros": 15_000}, "policy.yaml")


def test_without_a_file_no_account_may_be_mutated() -> None:
    """The built-in policy allows none; an account is allowed by its exact name alone (M1)."""
    policy = load_policy(load_settings({}))
    assert policy == Policy()
    assert not policy.allows("google_ads", "1")
    allowed = parse_policy({"allowed_accounts": ["google_ads:12"]}, "policy.yaml")
    assert allowed.allows("google_ads", "12")
    assert not any(allowed.allows(*name) for name in [("google_ads", "1"), ("google_ads", "123"), ("meta", "12"), ("", "")])


@pytest.mark.parametrize(
    ("text", "words"), [(None, "does not exist"), ("a: [", "not valid YAML"), ("- 1\n", "mapping"), ("7", "mapping")]
)
def test_a_file_that_is_no_policy_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    """A missing file is an error too: a policy that is not found must not become the built-in one."""
    file = tmp_path / "policy.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(JobError, match=words) as caught:
        load_policy(load_settings({"AELP2_POLICY": str(file)}))
    assert str(file) in str(caught.value)


def test_an_empty_file_is_the_built_in_policy(tmp_path: Path) -> None:
    """And a full one is read from disk."""
    file = tmp_path / "policy.yaml"
    file.write_text("")
    assert load_policy_file(file) == Policy()
    file.write_text("step_cap_pct: 2.5\nallowed_accounts: ['google_ads:7']\nfixed_campaign_ids: [222, '111', 111]\n")
    assert load_policy_file(file) == Policy(
        step_cap_pct=Decimal("2.5"), allowed_accounts=("google_ads:7",), fixed_campaign_ids=("111", "222")
    )


@pytest.mark.parametrize(("p", "ppm"), [("0.8", 800_000), ("0.8000005", 800_001), ("0.80000000001", 800_001), ("1", 1_000_000)])
def test_the_needed_probability_is_rounded_up(p: str, ppm: int) -> None:
    """M4: the safe side; a probability is rounded down, what it must reach up."""
    assert Policy(min_probability=Decimal(p)).min_probability_ppm == ppm


def test_every_rule_is_in_the_hash() -> None:
    """A change set says under which rules it was made: any one of them changes the hash, the way it is written does not."""
    other: dict[str, object] = {
        "target_cac_micros": 5,
        "budget_floor_micros": {"b": 10_000},
        "budget_ceiling_micros": {"b": 10_000},
        "fixed_campaign_ids": ("1",),
        "remarketing_campaign_ids": ("1",),
        "allow_total_growth": True,
        "allowed_accounts": ("google_ads:1",),
        "bandit_reward": "value",
        "bandit_cac_cap_micros": 5,
    }
    hashes = {Policy().sha256()}
    for field in dataclasses.fields(Policy):
        value = other.get(field.name, getattr(Policy(), field.name))
        hashes.add(Policy(**{field.name: value if field.name in other else value + 1}).sha256())  # type: ignore[operator]
    assert len(hashes) == 1 + len(dataclasses.fields(Policy))
    assert Policy(step_cap_pct=Decimal("5.00")).sha256() == Policy().sha256()


def test_clicks_are_never_a_reward() -> None:
    """A bandit is paid for conversions or their value; no policy file can make it chase clicks."""
    assert parse_policy({"bandit_reward": "value"}, "policy.yaml").bandit_reward == "value"
    with pytest.raises(JobError, match=r"bandit_reward: 'clicks' is not one of conversions, value; clicks are never a reward"):
        parse_policy({"bandit_reward": "clicks"}, "policy.yaml")
