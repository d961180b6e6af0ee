"""Creates through the Mutate methods: budget, search campaign, ad group and responsive search ad, all of them or none.

What is made is paused, delivers nothing and is kept in the sandbox's state. A request may name what it makes itself by negative
ids, as on the platform.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.lab.api_errors import ApiError, Problem
from tasks.lab.sandbox import Made, Sandbox

PLATFORM = "google_ads"
COLLECTIONS = {"budget": "campaignBudgets", "campaign": "campaigns", "adgroup": "adGroups", "ad": "adGroupAds"}
_PARENTS = {"campaign": ("campaign_budget", "budget"), "adgroup": ("campaign", "campaign"), "ad": ("ad_group", "adgroup")}
_TAKEN = {
    "campaign": ("campaign_error", "DUPLICATE_CAMPAIGN_NAME"),
    "adgroup": ("ad_group_error", "DUPLICATE_ADGROUP_NAME"),
    "budget": ("campaign_budget_error", "DUPLICATE_NAME"),
}
_TEXTS = {"headlines": (3, 30), "descriptions": (2, 90)}  # fewest of them, longest of them
Path = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Creation:
    """One create of a request: ``message`` is the resource, ``path`` where it stands for error locations."""

    kind: str
    message: Any
    path: Path


def resource_name(customer_id: str, made: Made) -> str:
    """What the platform calls something made."""
    name = f"{made.parent_id}~{made.id}" if made.kind == "ad" else str(made.id)
    return f"customers/{customer_id}/{COLLECTIONS[made.kind]}/{name}"


def create(sandbox: Sandbox, customer_id: str, creations: Sequence[Creation], *, validate_only: bool) -> list[tuple[int, str]]:
    """Check all and make all: (id, resource name) of each in order, nothing if only validating.

    Raises:
        ApiError: one failure with every problem; nothing was made.
    """
    with sandbox.lock:
        own = {c.message.resource_name: c.kind for c in creations if c.message.resource_name}
        problems = [p for c in creations for p in _problems(sandbox, customer_id, c, own)]
        if problems:
            raise ApiError("INVALID_ARGUMENT", problems)
        if validate_only:
            return []
        ids: dict[str, str] = {}
        made = []
        for one in creations:
            parent = _parent_of(one)
            parent_id = ids.get(parent, parent.rsplit("/", 1)[-1])
            number = sandbox.create(PLATFORM, customer_id, one.kind, parent_id, _fields(one))
            ids[one.message.resource_name] = str(number)
            made.append((number, resource_name(customer_id, sandbox.made_of(one.kind, number))))  # type: ignore[arg-type]
        return made


def _parent_of(one: Creation) -> str:
    return str(getattr(one.message, _PARENTS[one.kind][0])) if one.kind in _PARENTS else ""


def _problems(sandbox: Sandbox, customer_id: str, one: Creation, own: Mapping[str, str]) -> list[Problem]:
    found: list[Problem] = []

    def refuse(family: str, code: str, message: str, *path: str) -> None:
        found.append(Problem(family, code, message, one.path + tuple((name, None) for name in ("create", *path))))

    if one.kind != "ad":
        name = one.message.name
        if not name:
            refuse("field_error", "REQUIRED", "The required field was not present.", "name")
        parent = _parent_of(one)
        twins = [m for m in sandbox.created(PLATFORM, customer_id, one.kind) if m.fields["name"] == name]
        if any(one.kind != "adgroup" or m.parent_id == parent.rsplit("/", 1)[-1] for m in twins):
            refuse(*_TAKEN[one.kind], f"The name {name!r} is taken.", "name")
    if one.kind in _PARENTS:
        field, kind = _PARENTS[one.kind]
        name = getattr(one.message, field)
        if own.get(name) != kind and not _is_there(sandbox, customer_id, kind, name):
            refuse("mutate_error", "RESOURCE_NOT_FOUND", f"Resource was not found: {name}.", field)
    if one.kind != "budget" and one.message.status != 3:
        refuse("mutate_error", "MUTATE_NOT_ALLOWED", "This sandbox makes paused things only.", "status")
    check = {"budget": _check_budget, "campaign": _check_campaign, "ad": _check_ad}.get(one.kind)
    if check is not None:
        check(one.message, refuse)
    return found


def _is_there(sandbox: Sandbox, customer_id: str, kind: str, name: str) -> bool:
    match = re.fullmatch(rf"customers/{customer_id}/{COLLECTIONS[kind]}/(\d+)", name)
    if match is None:
        return False
    entity, layout = int(match[1]), sandbox.market.layout
    if any(m.id == entity for m in sandbox.created(PLATFORM, customer_id, kind)):
        return True
    if kind == "budget":
        return layout.budget_account.get(entity) == customer_id
    if kind == "campaign":
        return entity in layout.campaign_index and layout.campaign_account[layout.campaign_index[entity]].id == customer_id
    owners = [layout.campaign_account[layout.unit_campaign[i]].id for i, u in enumerate(layout.units) if u.ad_group_id == entity]
    return customer_id in owners


def _check_budget(budget: Any, refuse: Any) -> None:
    if budget.amount_micros <= 0:
        refuse("field_error", "REQUIRED", "A daily amount is required.", "amount_micros")
    elif budget.amount_micros % 10_000:
        message = f"The money amount {budget.amount_micros} is not a multiple of a minimum unit (10000 micros)."
        refuse("campaign_budget_error", "NON_MULTIPLE_OF_MINIMUM_CURRENCY_UNIT", message, "amount_micros")


def _check_campaign(campaign: Any, refuse: Any) -> None:
    if campaign.advertising_channel_type != 2:
        refuse("mutate_error", "MUTATE_NOT_ALLOWED", "This sandbox makes search campaigns only.", "advertising_channel_type")
    if campaign.WhichOneof("campaign_bidding_strategy") is None:
        refuse("field_error", "REQUIRED", "A bidding strategy is required.", "campaign_bidding_strategy")
    if campaign.contains_eu_political_advertising not in (2, 3):
        message = "Say whether the campaign contains EU political advertising."
        refuse("field_error", "REQUIRED", message, "contains_eu_political_advertising")


def _check_ad(ad_group_ad: Any, refuse: Any) -> None:
    ad = ad_group_ad.ad
    if not ad.final_urls:
        refuse("field_error", "REQUIRED", "A final URL is required.", "ad", "final_urls")
    if ad.name:
        refuse("field_error", "VALUE_MUST_BE_UNSET", "A responsive search ad has no name.", "ad", "name")
    for field, (fewest, longest) in _TEXTS.items():
        texts = [asset.text for asset in getattr(ad.responsive_search_ad, field)]
        if len(texts) < fewest:
            refuse("collection_size_error", "TOO_FEW", f"At least {fewest} {field}.", "ad", "responsive_search_ad", field)
        if any(len(text) > longest for text in texts):
            refuse("string_length_error", "TOO_LONG", f"At most {longest} characters.", "ad", "responsive_search_ad", field)


def _fields(one: Creation) -> dict[str, Any]:
    message = one.message
    if one.kind == "budget":
        return {"name": message.name, "amount_micros": message.amount_micros, "explicitly_shared": message.explicitly_shared}
    if one.kind == "campaign":
        return {"name": message.name, "bidding": message.WhichOneof("campaign_bidding_strategy")}
    if one.kind == "adgroup":
        return {"name": message.name}
    ad = message.ad
    texts = {field: [asset.text for asset in getattr(ad.responsive_search_ad, field)] for field in _TEXTS}
    return {"name": "", "final_urls": list(ad.final_urls)} | texts
