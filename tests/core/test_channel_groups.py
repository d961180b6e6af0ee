"""Channel of a session: the rules Google documents, in their order, and what a click id says on its own."""

from __future__ import annotations

import polars as pl
import pytest

from tasks.core.channel_groups import CAMPAIGN_LABELS, CLICK_IDS, campaign_label, channel_group, load_rules

COLUMNS = ("source", "medium", "campaign", *CLICK_IDS)


def channel(source: str | None, medium: str | None, campaign: str | None = None, **clicks: str) -> str:
    row = {"source": source, "medium": medium, "campaign": campaign, **clicks}
    frame = pl.DataFrame({name: [row.get(name)] for name in COLUMNS}, schema=dict.fromkeys(COLUMNS, pl.String))
    named = frame.with_columns(campaign_label(pl.col("campaign")).alias("campaign_label"))
    return str(named.select(channel_group())[0, 0])


@pytest.mark.parametrize(
    ("source", "medium", "campaign", "expected"),
    [
        (None, None, None, "Direct"),
        ("(direct)", "(none)", None, "Direct"),
        ("(direct)", "(not set)", None, "Direct"),
        ("google", "cpc", "sale | cross-network", "Cross-network"),
        ("amazon", "cpc", None, "Paid Shopping"),
        ("google", "cpc", "summer shopping", "Paid Shopping"),
        ("google", "cpc", "Shop Germany", "Paid Shopping"),
        ("google", "cpc", "workshop berlin", "Paid Search"),
        ("google", "cpc", "bishop", "Paid Search"),
        ("google", "cpc", "eshop", "Paid Shopping"),
        ("google", "cpc", "brand", "Paid Search"),
        ("Google", "CPC", None, "Paid Search"),
        ("bing", "ppc", None, "Paid Search"),
        ("google", "cpm", None, "Paid Search"),
        ("facebook", "paid_social", None, "Paid Social"),
        ("m.facebook.com", "retargeting", None, "Paid Social"),
        ("youtube", "cpv", None, "Paid Video"),
        ("dv360", "display", None, "Display"),
        ("dv360", "cpm", None, "Display"),
        ("taboola", "cpc", None, "Paid Other"),
        ("etsy.com", "referral", None, "Organic Shopping"),
        ("l.instagram.com", "referral", None, "Organic Social"),
        ("somebody", "social-media", None, "Organic Social"),
        ("youtube.com", "referral", None, "Organic Video"),
        ("partner", "video-embed", None, "Organic Video"),
        ("google", "organic", None, "Organic Search"),
        ("duckduckgo.com", "referral", None, "Organic Search"),
        ("anything", "organic", None, "Organic Search"),
        ("partner.example", "referral", None, "Referral"),
        ("partner.example", "app", None, "Referral"),
        ("newsletter", "e-mail", None, "Email"),
        ("email", "anything", None, "Email"),
        ("partner.example", "affiliate", None, "Affiliates"),
        ("spotify", "audio", None, "Audio"),
        ("sms", "anything", None, "SMS"),
        ("own", "sms", None, "SMS"),
        ("own", "webpush", None, "Mobile Push Notifications"),
        ("own", "notification-weekly", None, "Mobile Push Notifications"),
        ("firebase", "anything", None, "Mobile Push Notifications"),
        ("own", "qr-code", None, "Unassigned"),
        ("googlers.example", "referral", None, "Referral"),
    ],
)
def test_a_session_gets_the_channel_google_documents(
    source: str | None, medium: str | None, campaign: str | None, expected: str
) -> None:
    """Each documented condition, alone and where two rules fit: the first one decides; case does not matter."""
    assert expected == channel(source, medium, campaign)


@pytest.mark.parametrize(
    ("click_id", "expected"),
    [
        ("gclid", "Paid Search"),
        ("gbraid", "Paid Search"),
        ("wbraid", "Paid Search"),
        ("ttclid", "Paid Social"),
        ("li_fat_id", "Paid Social"),
        ("fbclid", "Organic Social"),  # on every link out of Facebook, paid or not
    ],
)
def test_a_click_id_speaks_where_no_tag_does(click_id: str, expected: str) -> None:
    """Without source and medium a click id decides; with either of them it says nothing."""
    assert expected == channel(None, None, **{click_id: "x"})
    assert channel("partner.example", "referral", **{click_id: "x"}) == "Referral"


def test_every_channel_can_be_reached() -> None:
    """No rule is dead: the cases above meet each channel of the table."""
    marks = test_a_session_gets_the_channel_google_documents.pytestmark
    assert {case[3] for mark in marks for case in mark.args[1]} == set(load_rules().channels)


def test_a_name_keeps_its_label_when_it_is_hashed() -> None:
    """Both labels at once, either, or none."""
    names = pl.DataFrame({"c": ["cross-network shopping", "PMax Cross-Network", "shopping", "brand", None]})
    found = names.select(campaign_label(pl.col("c"))).to_series().to_list()
    assert found == ["cross-network,shopping", "cross-network", "shopping", None, None]
    assert set(CAMPAIGN_LABELS) == {"cross-network", "shopping"}
