"""Asset groups of Performance Max and negative keywords, alone and in lists: what else a Google Ads account holds."""

from tasks.lab.world import Account, Campaign

Attributes = dict[str, object]

NEGATIVE_LIST_ID = 6001


def asset_group(customer_id: str, campaign: Campaign) -> Attributes:
    """The one asset group of a PMAX campaign; it has all of the campaign's delivery."""
    id_ = campaign.id * 100 + 1
    return {
        "asset_group.resource_name": f"customers/{customer_id}/assetGroups/{id_}",
        "asset_group.id": id_,
        "asset_group.campaign": f"customers/{customer_id}/campaigns/{campaign.id}",
        "asset_group.name": f"{campaign.name} | All products",
        "asset_group.status": "ENABLED",
    }


def negative_list(customer_id: str) -> Attributes:
    """The account's one shared list."""
    return {
        "shared_set.resource_name": f"customers/{customer_id}/sharedSets/{NEGATIVE_LIST_ID}",
        "shared_set.id": NEGATIVE_LIST_ID,
        "shared_set.name": "Never ours",
        "shared_set.type": "NEGATIVE_KEYWORDS",
        "shared_set.status": "ENABLED",
        "shared_set.member_count": 2,
    }


def negative_list_use(customer_id: str, campaign: Campaign) -> Attributes:
    """The list in one campaign."""
    return {
        "campaign_shared_set.resource_name": f"customers/{customer_id}/campaignSharedSets/{campaign.id}~{NEGATIVE_LIST_ID}",
        "campaign_shared_set.campaign": f"customers/{customer_id}/campaigns/{campaign.id}",
        "campaign_shared_set.shared_set": f"customers/{customer_id}/sharedSets/{NEGATIVE_LIST_ID}",
        "campaign_shared_set.status": "ENABLED",
    }


def negative_keyword(customer_id: str, campaign: Campaign) -> Attributes:
    """Words that a campaign never serves for."""
    id_ = campaign.id * 10 + 1
    return {
        "campaign_criterion.resource_name": f"customers/{customer_id}/campaignCriteria/{campaign.id}~{id_}",
        "campaign_criterion.campaign": f"customers/{customer_id}/campaigns/{campaign.id}",
        "campaign_criterion.criterion_id": id_,
        "campaign_criterion.negative": True,
        "campaign_criterion.type": "KEYWORD",
        "campaign_criterion.status": "ENABLED",
        "campaign_criterion.keyword.text": f"second hand {campaign.id}",
        "campaign_criterion.keyword.match_type": "PHRASE",
    }


def search_campaigns(account: Account | None) -> list[Campaign]:
    """Those that have negative keywords."""
    return [campaign for campaign in account.campaigns if campaign.channel.startswith("SEARCH")] if account else []
