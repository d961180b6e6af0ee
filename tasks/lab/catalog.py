"""What can be queried: resources, their attributes and rows. Attribute names are those of the API's own messages."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import chain
from zoneinfo import ZoneInfo

from tasks.lab import catalog_assets, catalog_made
from tasks.lab.creating import resource_name
from tasks.lab.criteria import MATCH_TYPES, Criterion
from tasks.lab.layout import Unit
from tasks.lab.sandbox import ChangeEvent, Sandbox
from tasks.lab.world import Account, Campaign

Attributes = dict[str, object]

CHANNEL_TYPES = {
    "SEARCH_BRAND": "SEARCH",
    "SEARCH_NONBRAND": "SEARCH",
    "YOUTUBE": "VIDEO",
    "DEMAND_GEN": "DEMAND_GEN",
    "PMAX": "PERFORMANCE_MAX",
}
_AD_GROUP_TYPES = {"SEARCH": "SEARCH_STANDARD", "VIDEO": "VIDEO_TRUE_VIEW_IN_STREAM", "DEMAND_GEN": "UNSPECIFIED"}
_AD_TYPES = {"SEARCH": "RESPONSIVE_SEARCH_AD", "VIDEO": "VIDEO_RESPONSIVE_AD", "DEMAND_GEN": "DEMAND_GEN_MULTI_ASSET_AD"}
# FROM resource -> resources whose attributes may be selected with it; metrics and segments only where the last item says so.
RESOURCES: dict[str, tuple[tuple[str, ...], bool]] = {
    "customer": (("customer",), True),
    "customer_client": (("customer_client", "customer"), False),
    "campaign": (("campaign", "campaign_budget", "customer"), True),
    "campaign_budget": (("campaign_budget", "customer"), True),
    "ad_group": (("ad_group", "campaign", "customer"), True),
    "ad_group_ad": (("ad_group_ad", "ad_group", "campaign", "customer"), True),
    "ad_group_criterion": (("ad_group_criterion", "ad_group", "campaign", "customer"), False),
    "keyword_view": (("keyword_view", "ad_group_criterion", "ad_group", "campaign", "customer"), True),
    "ad_group_audience_view": (("ad_group_audience_view", "ad_group_criterion", "ad_group", "campaign", "customer"), True),
    "asset_group": (("asset_group", "campaign", "customer"), True),
    "shared_set": (("shared_set", "customer"), False),
    "campaign_shared_set": (("campaign_shared_set", "customer"), False),
    "campaign_criterion": (("campaign_criterion", "campaign", "customer"), False),
    "conversion_action": (("conversion_action", "customer"), False),
    "change_event": (("change_event", "customer"), False),
}

CRITERION_VIEWS = ("keyword_view", "ad_group_audience_view")


@dataclass(frozen=True)
class Entity:
    """One row of a resource before segmentation."""

    attributes: Attributes
    units: tuple[int, ...] = ()  # indices whose metrics it sums
    campaigns: tuple[int, ...] = ()


def entities(sandbox: Sandbox, customer_id: str, resource: str) -> list[Entity]:
    """Every row of ``resource`` in this customer, attributes of attributed resources included."""
    found = list(_MAKERS[resource](sandbox, customer_id))
    if resource in catalog_made.KINDS:
        made = catalog_made.rows(
            sandbox, customer_id, resource, lambda parent: (e.attributes for e in entities(sandbox, customer_id, parent))
        )
        found += [Entity(row | _customer(sandbox, customer_id)) for row in made]
    return found


@cache
def attribute_names(sandbox: Sandbox) -> dict[str, frozenset[str]]:
    """Resource → its attributes, read off the rows themselves so that nothing can be selected that is not served."""
    account = sandbox.world.on("google_ads")[0]
    sample = ChangeEvent(sandbox.now.isoformat(), "budget", account.budgets[0].id, 0, 0, "OTHER", "")
    with_ads = next(a.id for a in sandbox.world.on("google_ads") if any(c.channel != "PMAX" for c in a.campaigns))
    rows = [
        entities(sandbox, account.id, "campaign")[0].attributes,
        entities(sandbox, with_ads, "ad_group_ad")[0].attributes,
        *(_criterion(account.id, c) for c in sandbox.market.criteria.all),
        catalog_assets.asset_group(account.id, account.campaigns[0]),
        catalog_assets.negative_list(account.id),
        catalog_assets.negative_list_use(account.id, account.campaigns[0]),
        catalog_assets.negative_keyword(account.id, account.campaigns[0]),
        entities(sandbox, account.id, "conversion_action")[0].attributes,
        entities(sandbox, sandbox.world.manager.id, "customer_client")[0].attributes,
        _event(sandbox, account.id, 0, sample),
    ]
    names: dict[str, set[str]] = {}
    for row in rows:
        for path in row:
            names.setdefault(path.split(".", maxsplit=1)[0], set()).add(path)
    return {head: frozenset(paths) for head, paths in names.items()}


def account_of(sandbox: Sandbox, customer_id: str) -> Account | None:
    """The client account; None for the manager."""
    return next((a for a in sandbox.world.on("google_ads") if a.id == customer_id), None)


def conversion_action_id(customer_id: str, action: str) -> int:
    """Stable id of an action of an account."""
    return int(customer_id[-4:]) * 100 + {"purchase": 1, "lead": 2}[action]


def _customer(sandbox: Sandbox, customer_id: str) -> Attributes:
    account = account_of(sandbox, customer_id)
    source = account or sandbox.world.manager
    return {
        "customer.resource_name": f"customers/{customer_id}",
        "customer.id": int(customer_id),
        "customer.descriptive_name": source.name,
        "customer.currency_code": source.currency,
        "customer.time_zone": source.time_zone,
        "customer.manager": account is None,
        "customer.test_account": True,
        "customer.status": "ENABLED",
        "customer.auto_tagging_enabled": True,
    }


def _budget(sandbox: Sandbox, customer_id: str, index: int) -> Attributes:
    layout = sandbox.market.layout
    budget = layout.budgets[index]
    return {
        "campaign_budget.resource_name": f"customers/{customer_id}/campaignBudgets/{budget.id}",
        "campaign_budget.id": budget.id,
        "campaign_budget.name": budget.name,
        "campaign_budget.amount_micros": sandbox.current("budget", budget.id),
        "campaign_budget.explicitly_shared": budget.shared,
        "campaign_budget.reference_count": int((layout.campaign_budget == index).sum()),
        "campaign_budget.status": "ENABLED",
        "campaign_budget.delivery_method": "STANDARD",
        "campaign_budget.period": "DAILY",
        "campaign_budget.type": "STANDARD",
    }


def _campaign(sandbox: Sandbox, customer_id: str, campaign: Campaign) -> Attributes:
    enabled = sandbox.current("campaign", campaign.id)
    return {
        "campaign.resource_name": f"customers/{customer_id}/campaigns/{campaign.id}",
        "campaign.id": campaign.id,
        "campaign.name": campaign.name,
        "campaign.status": "ENABLED" if enabled else "PAUSED",
        "campaign.serving_status": "SERVING",
        "campaign.primary_status": "ELIGIBLE" if enabled else "PAUSED",
        "campaign.advertising_channel_type": CHANNEL_TYPES[campaign.channel],
        "campaign.advertising_channel_sub_type": "UNSPECIFIED",
        "campaign.bidding_strategy_type": "MAXIMIZE_CONVERSIONS",
        "campaign.campaign_budget": f"customers/{customer_id}/campaignBudgets/{campaign.budget}",
        "campaign.start_date_time": f"{sandbox.market.start.isoformat()} 00:00:00",
    }


def _ad_group(customer_id: str, unit: Unit | Criterion) -> Attributes:
    channel = CHANNEL_TYPES[unit.campaign.channel]
    return {
        "ad_group.resource_name": f"customers/{customer_id}/adGroups/{unit.ad_group_id}",
        "ad_group.id": unit.ad_group_id,
        "ad_group.name": f"{unit.campaign.name} | Group {unit.ad_group_id % 100}",
        "ad_group.status": "ENABLED",
        "ad_group.type": _AD_GROUP_TYPES[channel],
        "ad_group.campaign": f"customers/{customer_id}/campaigns/{unit.campaign.id}",
    }


def _ad(sandbox: Sandbox, customer_id: str, unit: Unit) -> Attributes:
    return {
        "ad_group_ad.resource_name": f"customers/{customer_id}/adGroupAds/{unit.ad_group_id}~{unit.ad_id}",
        "ad_group_ad.ad_group": f"customers/{customer_id}/adGroups/{unit.ad_group_id}",
        "ad_group_ad.status": "ENABLED" if sandbox.current("ad", unit.ad_id) else "PAUSED",
        "ad_group_ad.ad.resource_name": f"customers/{customer_id}/ads/{unit.ad_id}",
        "ad_group_ad.ad.id": unit.ad_id,
        "ad_group_ad.ad.name": f"Ad {unit.ad_id % 100} of group {unit.ad_group_id % 100}",
        "ad_group_ad.ad.type": _AD_TYPES[CHANNEL_TYPES[unit.campaign.channel]],
    }


def _criterion(customer_id: str, criterion: Criterion) -> Attributes:
    """A keyword or an audience, under the view that reports on it; paused ones do not exist here."""
    is_keyword = criterion.kind == "keyword"
    view, collection = ("keyword_view", "keywordViews") if is_keyword else ("ad_group_audience_view", "adGroupAudienceViews")
    name = f"{criterion.ad_group_id}~{criterion.criterion_id}"
    words = f"{criterion.campaign.name.split('|')[-1].strip()} {criterion.ad_group_id % 100}.{criterion.number + 1}"
    return {
        f"{view}.resource_name": f"customers/{customer_id}/{collection}/{name}",
        "ad_group_criterion.resource_name": f"customers/{customer_id}/adGroupCriteria/{name}",
        "ad_group_criterion.ad_group": f"customers/{customer_id}/adGroups/{criterion.ad_group_id}",
        "ad_group_criterion.criterion_id": criterion.criterion_id,
        "ad_group_criterion.status": "ENABLED",
        "ad_group_criterion.negative": False,
        "ad_group_criterion.type": "KEYWORD" if is_keyword else "USER_INTEREST",
        "ad_group_criterion.display_name": None if is_keyword else f"Audience {words}",
        "ad_group_criterion.keyword.text": f"keyword {words}".lower() if is_keyword else None,
        "ad_group_criterion.keyword.match_type": MATCH_TYPES[criterion.number] if is_keyword else None,
    }


def _units_where(sandbox: Sandbox, keep: Callable[[Unit], bool]) -> tuple[int, ...]:
    return tuple(i for i, unit in enumerate(sandbox.market.layout.units) if keep(unit))


def _customer_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    account = account_of(sandbox, customer_id)
    ids = {c.id for c in account.campaigns} if account else set()
    campaigns = tuple(sandbox.market.layout.campaign_index[i] for i in sorted(ids))
    yield Entity(_customer(sandbox, customer_id), _units_where(sandbox, lambda u: u.campaign.id in ids), campaigns)


def _customer_client_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    below: list[tuple[str, str, str, str, int, bool]] = []
    manager = sandbox.world.manager
    if customer_id == manager.id:
        below.append((manager.id, manager.name, manager.currency, manager.time_zone, 0, True))
        below += [(a.id, a.name, a.currency, a.time_zone, 1, False) for a in sandbox.world.on("google_ads")]
    elif account := account_of(sandbox, customer_id):
        below.append((account.id, account.name, account.currency, account.time_zone, 0, False))
    for id_, name, currency, zone, level, is_manager in below:
        own: Attributes = {
            "customer_client.resource_name": f"customers/{customer_id}/customerClients/{id_}",
            "customer_client.client_customer": f"customers/{id_}",
            "customer_client.id": int(id_),
            "customer_client.descriptive_name": name,
            "customer_client.currency_code": currency,
            "customer_client.time_zone": zone,
            "customer_client.level": level,
            "customer_client.manager": is_manager,
            "customer_client.hidden": False,
            "customer_client.test_account": True,
            "customer_client.status": "ENABLED",
        }
        yield Entity(own | _customer(sandbox, customer_id))


def _campaign_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    layout, account = sandbox.market.layout, account_of(sandbox, customer_id)
    for campaign in account.campaigns if account else []:
        attributes = _campaign(sandbox, customer_id, campaign) | _budget(
            sandbox, customer_id, layout.budget_index[campaign.budget]
        )
        units = _units_where(sandbox, lambda u, id_=campaign.id: u.campaign.id == id_)  # type: ignore[misc]
        yield Entity(attributes | _customer(sandbox, customer_id), units, (layout.campaign_index[campaign.id],))


def _budget_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    layout, account = sandbox.market.layout, account_of(sandbox, customer_id)
    for budget in account.budgets if account else []:
        units = _units_where(sandbox, lambda u, id_=budget.id: u.campaign.budget == id_)  # type: ignore[misc]
        attributes = _budget(sandbox, customer_id, layout.budget_index[budget.id])
        campaigns = tuple(i for i, c in enumerate(layout.campaigns) if c.budget == budget.id)
        yield Entity(attributes | _customer(sandbox, customer_id), units, campaigns)


def _ad_group_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    groups: dict[int, list[int]] = {}
    units = sandbox.market.layout.units
    for index, unit in enumerate(units):
        if unit.ad_id and sandbox.market.layout.campaign_account[sandbox.market.layout.unit_campaign[index]].id == customer_id:
            groups.setdefault(unit.ad_group_id, []).append(index)
    for indices in groups.values():
        unit = units[indices[0]]
        attributes = _ad_group(customer_id, unit) | _campaign(sandbox, customer_id, unit.campaign)
        yield Entity(attributes | _customer(sandbox, customer_id), tuple(indices))


def _ad_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    layout = sandbox.market.layout
    for index, unit in enumerate(layout.units):
        if unit.ad_id and layout.campaign_account[layout.unit_campaign[index]].id == customer_id:
            attributes = _ad(sandbox, customer_id, unit) | _ad_group(customer_id, unit)
            attributes |= _campaign(sandbox, customer_id, unit.campaign) | _customer(sandbox, customer_id)
            yield Entity(attributes, (index,))


def _criterion_rows(sandbox: Sandbox, customer_id: str, kind: str) -> Iterator[Entity]:
    """Their units are the columns of ``Cube.by_criterion``."""
    account = account_of(sandbox, customer_id)
    ids = {campaign.id for campaign in account.campaigns} if account else set()
    for criterion in sandbox.market.criteria.all:
        if criterion.kind == kind and criterion.campaign.id in ids:
            attributes = _criterion(customer_id, criterion) | _ad_group(customer_id, criterion)
            attributes |= _campaign(sandbox, customer_id, criterion.campaign) | _customer(sandbox, customer_id)
            yield Entity(attributes, criterion.pairs)


def _keyword_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    return _criterion_rows(sandbox, customer_id, "keyword")


def _audience_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    return _criterion_rows(sandbox, customer_id, "audience")


def _ad_group_criterion_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    return chain(_keyword_rows(sandbox, customer_id), _audience_rows(sandbox, customer_id))


def action_attributes(customer_id: str, action: str) -> Attributes:
    """Purchase is the primary goal (a new customer); lead is secondary and counts in ``all_conversions`` only."""
    id_ = conversion_action_id(customer_id, action)
    return {
        "conversion_action.resource_name": f"customers/{customer_id}/conversionActions/{id_}",
        "conversion_action.id": id_,
        "conversion_action.name": {"purchase": "New customer purchase", "lead": "Lead"}[action],
        "conversion_action.category": {"purchase": "PURCHASE", "lead": "SUBMIT_LEAD_FORM"}[action],
        "conversion_action.type": "WEBPAGE",
        "conversion_action.status": "ENABLED",
        "conversion_action.primary_for_goal": action == "purchase",
        "conversion_action.include_in_conversions_metric": action == "purchase",
        "conversion_action.click_through_lookback_window_days": 30,
        "conversion_action.counting_type": "ONE_PER_CLICK",
    }


def _action_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    if account_of(sandbox, customer_id):
        for action in ("purchase", "lead"):
            yield Entity(action_attributes(customer_id, action) | _customer(sandbox, customer_id))


def _event_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    layout = sandbox.market.layout
    if account_of(sandbox, customer_id) is None:
        return
    for number, event in enumerate(sandbox.past_events() + sandbox.events):
        if (made := sandbox.made_of(event.kind, event.entity)) is not None:
            owner = made.account_id
        elif event.kind == "budget":
            owner = layout.budget_account[event.entity]
        elif event.kind == "campaign":
            owner = layout.campaign_account[layout.campaign_index[event.entity]].id
        else:
            owner = layout.campaign_account[layout.unit_campaign[layout.unit_index[event.entity]]].id
        if owner == customer_id:
            yield Entity(_event(sandbox, customer_id, number, event) | _customer(sandbox, customer_id))


def _changed_resource(sandbox: Sandbox, customer_id: str, event: ChangeEvent) -> tuple[str, str, str, str]:
    """(change resource type, resource name, path of the changed field, campaign's resource name or nothing)."""
    layout, customer = sandbox.market.layout, f"customers/{customer_id}"
    if event.kind == "budget":
        return "CAMPAIGN_BUDGET", f"{customer}/campaignBudgets/{event.entity}", "campaign_budget.amount_micros", ""
    if event.kind == "campaign":
        name = f"{customer}/campaigns/{event.entity}"
        return "CAMPAIGN", name, "campaign.status", name
    if (made := sandbox.made_of("ad", event.entity)) is not None:
        group = sandbox.made_of("adgroup", int(made.parent_id))
        return (
            "AD_GROUP_AD",
            resource_name(customer_id, made),
            "ad_group_ad.status",
            f"{customer}/campaigns/{group.parent_id if group else ''}",
        )
    unit = layout.units[layout.unit_index[event.entity]]
    name = f"{customer}/adGroupAds/{unit.ad_group_id}~{unit.ad_id}"
    return "AD_GROUP_AD", name, "ad_group_ad.status", f"{customer}/campaigns/{unit.campaign.id}"


def _event(sandbox: Sandbox, customer_id: str, number: int, event: ChangeEvent) -> Attributes:
    account = account_of(sandbox, customer_id)
    zone = account.time_zone if account else sandbox.world.manager.time_zone
    at = datetime.fromisoformat(event.at)
    type_, name, path, campaign = _changed_resource(sandbox, customer_id, event)
    message, leaf = path.split(".")
    values: list[object] = [event.old, event.new]
    if event.kind != "budget":
        values = ["ENABLED" if value else "PAUSED" for value in values]
    old, new = ({message: {leaf: value, "resource_name": name}} for value in values)
    return {
        "change_event.resource_name": f"customers/{customer_id}/changeEvents/{round(at.timestamp() * 1e6)}~{number}~1",
        "change_event.change_date_time": at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "change_event.change_resource_type": type_,
        "change_event.change_resource_name": name,
        "change_event.client_type": event.client_type,
        "change_event.user_email": event.user_email,
        "change_event.resource_change_operation": "UPDATE",
        "change_event.changed_fields": [leaf],
        "change_event.old_resource": old,
        "change_event.new_resource": new,
        "change_event.campaign": campaign,
    }


def _asset_group_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    account = account_of(sandbox, customer_id)
    for campaign in account.campaigns if account else []:
        if campaign.channel == "PMAX":
            attributes = catalog_assets.asset_group(customer_id, campaign) | _campaign(sandbox, customer_id, campaign)
            units = _units_where(sandbox, lambda u, id_=campaign.id: u.campaign.id == id_)  # type: ignore[misc]
            yield Entity(attributes | _customer(sandbox, customer_id), units)


def _shared_set_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    if catalog_assets.search_campaigns(account_of(sandbox, customer_id)):
        yield Entity(catalog_assets.negative_list(customer_id) | _customer(sandbox, customer_id))


def _campaign_shared_set_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    for campaign in catalog_assets.search_campaigns(account_of(sandbox, customer_id)):
        yield Entity(catalog_assets.negative_list_use(customer_id, campaign) | _customer(sandbox, customer_id))


def _campaign_criterion_rows(sandbox: Sandbox, customer_id: str) -> Iterator[Entity]:
    for campaign in catalog_assets.search_campaigns(account_of(sandbox, customer_id)):
        attributes = catalog_assets.negative_keyword(customer_id, campaign) | _campaign(sandbox, customer_id, campaign)
        yield Entity(attributes | _customer(sandbox, customer_id))


_MAKERS: dict[str, Callable[[Sandbox, str], Iterator[Entity]]] = {
    "customer": _customer_rows,
    "customer_client": _customer_client_rows,
    "campaign": _campaign_rows,
    "campaign_budget": _budget_rows,
    "ad_group": _ad_group_rows,
    "ad_group_ad": _ad_rows,
    "ad_group_criterion": _ad_group_criterion_rows,
    "keyword_view": _keyword_rows,
    "ad_group_audience_view": _audience_rows,
    "asset_group": _asset_group_rows,
    "shared_set": _shared_set_rows,
    "campaign_shared_set": _campaign_shared_set_rows,
    "campaign_criterion": _campaign_criterion_rows,
    "conversion_action": _action_rows,
    "change_event": _event_rows,
}
