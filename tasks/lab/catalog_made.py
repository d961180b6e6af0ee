"""Rows of what was made through the API: budgets, search campaigns, ad groups, ads. They deliver nothing."""

from collections.abc import Callable, Iterable

from tasks.lab.creating import PLATFORM, resource_name
from tasks.lab.sandbox import Made, Sandbox

Attributes = dict[str, object]
KINDS = {"campaign_budget": "budget", "campaign": "campaign", "ad_group": "adgroup", "ad_group_ad": "ad"}
_PARENTS = {
    "campaign": ("campaign_budget", "campaignBudgets"),
    "ad_group": ("campaign", "campaigns"),
    "ad_group_ad": ("ad_group", "adGroups"),
}


def rows(
    sandbox: Sandbox, customer_id: str, resource: str, entities: Callable[[str], Iterable[Attributes]]
) -> Iterable[Attributes]:
    """Rows of ``resource`` with the attributes of what they stand under; ``entities`` gives the rows of a resource."""
    made = sandbox.created(PLATFORM, customer_id, KINDS[resource])
    if not made:
        return
    above: dict[object, Attributes] = {}
    parent, collection = _PARENTS.get(resource, ("", ""))
    if parent:
        above = {row[f"{parent}.resource_name"]: row for row in entities(parent)}
    for one in made:
        name = f"customers/{customer_id}/{collection}/{one.parent_id}"
        own = {"resource_name": resource_name(customer_id, one)} | _OWN[resource](sandbox, one, name)
        yield above.get(name, {}) | {f"{resource}.{leaf}": value for leaf, value in own.items()}


def _status(made: Made) -> str:
    return "ENABLED" if made.is_enabled else "PAUSED"


def _budget(sandbox: Sandbox, made: Made, _: str) -> Attributes:
    campaigns = sandbox.created(PLATFORM, made.account_id, "campaign")
    return {
        "id": made.id,
        "name": made.fields["name"],
        "amount_micros": made.fields["amount_micros"],
        "explicitly_shared": made.fields["explicitly_shared"],
        "reference_count": sum(c.parent_id == str(made.id) for c in campaigns),
        "status": "ENABLED",
        "delivery_method": "STANDARD",
        "period": "DAILY",
        "type": "STANDARD",
    }


def _campaign(sandbox: Sandbox, made: Made, budget: str) -> Attributes:
    return {
        "id": made.id,
        "name": made.fields["name"],
        "status": _status(made),
        "serving_status": "SERVING",
        "primary_status": "ELIGIBLE" if made.is_enabled else "PAUSED",
        "advertising_channel_type": "SEARCH",
        "advertising_channel_sub_type": "UNSPECIFIED",
        "bidding_strategy_type": made.fields["bidding"].upper(),
        "campaign_budget": budget,
        "start_date_time": f"{sandbox.today.isoformat()} 00:00:00",
    }


def _ad_group(_: Sandbox, made: Made, campaign: str) -> Attributes:
    return {
        "id": made.id,
        "name": made.fields["name"],
        "status": _status(made),
        "type": "SEARCH_STANDARD",
        "campaign": campaign,
    }


def _ad(_: Sandbox, made: Made, group: str) -> Attributes:
    return {
        "ad_group": group,
        "status": _status(made),
        "ad.resource_name": f"customers/{made.account_id}/ads/{made.id}",
        "ad.id": made.id,
        "ad.name": made.fields["name"],
        "ad.type": "RESPONSIVE_SEARCH_AD",
    }


_OWN: dict[str, Callable[[Sandbox, Made, str], Attributes]] = {
    "campaign_budget": _budget,
    "campaign": _campaign,
    "ad_group": _ad_group,
    "ad_group_ad": _ad,
}
