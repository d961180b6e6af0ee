"""World files are refused with every mistake named."""

from pathlib import Path

import pytest
import yaml

from tasks.core.errors import JobError
from tasks.lab.world import WORLDS, load_world, world_ids


@pytest.mark.parametrize("name", world_ids())
def test_every_world_of_the_package_loads_under_its_own_id(name: str) -> None:
    assert load_world(name).id == name


def test_the_main_world_has_five_channels_and_one_budget_shared_by_two_campaigns() -> None:
    account = load_world("acme").accounts[0]
    shared = [b.id for b in account.budgets if b.shared]
    assert set(account.channels) == {"SEARCH_BRAND", "SEARCH_NONBRAND", "YOUTUBE", "DEMAND_GEN", "PMAX"}
    assert [c.id for c in account.campaigns if c.budget in shared] == [9005, 9006]
    assert len(account.budgets) == 10


def test_three_accounts_have_two_currencies_and_two_time_zones() -> None:
    accounts = load_world("three_accounts").accounts
    assert [a.currency for a in accounts] == ["USD", "EUR", "EUR"]
    assert {a.time_zone for a in accounts} == {"America/New_York", "Europe/Berlin"}


def test_an_unknown_world_is_refused_with_the_known_ones() -> None:
    with pytest.raises(JobError, match=r"no world 'nowhere'; give one of acme, cac_breach"):
        load_world("nowhere")


def _changed(tmp_path: Path, **changes: object) -> str:
    content = yaml.safe_load((WORLDS / "acme.yaml").read_text(encoding="utf-8"))
    for path, value in changes.items():
        target = content
        *parents, leaf = path.split("__")
        for name in parents:
            target = target[int(name)] if name.isdigit() else target[name]
        target[int(leaf) if leaf.isdigit() else leaf] = value
    file = tmp_path / "world.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline__customers_per_day": -3}, "baseline.customers_per_day: Input should be greater than 0"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"accounts__0__time_zone": "Mars/Olympus"}, "time_zone 'Mars/Olympus' is no IANA zone"),
        ({"accounts__0__campaigns__0__budget": 1}, "campaign 9001 names budget 1, which account 2000000001 does not list"),
        ({"accounts__0__budgets__4__shared": False}, "budget 7005 has 2 campaigns; set shared: true"),
        ({"accounts__0__campaigns__1__id": 9001}, "campaign id 9001 is used twice"),
        ({"manager__id": "12"}, "manager.id: String should match pattern"),
        ({"baseline__holidays": [{"month": 2, "day": 30, "lift": 0.1}]}, "day is out of range for month"),
    ],
)
def test_a_mistake_in_a_world_file_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(JobError) as error:
        load_world(_changed(tmp_path, **changes))
    assert message in str(error.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="has 2 mistake"):
        load_world(_changed(tmp_path, today_share=3, currency="dollars"))
