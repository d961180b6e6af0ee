"""Channel and brand come from type and clear name, by a fixed table."""

import pytest

from tasks.platforms.google_ads.labels import is_brand_name, label


@pytest.mark.parametrize(
    ("channel_type", "sub_type", "name", "expected"),
    [
        ("SEARCH", "UNRECOGNISED_0", "US | Search | Brand | Exact", ("SEARCH_BRAND", True)),
        ("SEARCH", "UNRECOGNISED_0", "US | Search | NonBrand | Generic", ("SEARCH_NONBRAND", False)),
        ("SEARCH", "SEARCH_MOBILE_APP", "Brand app installs", ("APP", False)),
        ("SHOPPING", "UNRECOGNISED_0", "Shopping brand", ("SHOPPING", True)),
        ("VIDEO", "VIDEO_ACTION", "YouTube Brand Lift", ("YOUTUBE", False)),
        ("DEMAND_GEN", "UNRECOGNISED_0", "Demand Gen brand", ("DEMAND_GEN", False)),
        ("PERFORMANCE_MAX", "UNRECOGNISED_0", "PMax brand", ("PMAX", False)),
        ("MULTI_CHANNEL", "APP_CAMPAIGN", "App", ("APP", False)),
        ("DISPLAY", "UNRECOGNISED_0", "Display prospecting", ("DISPLAY", False)),
    ],
)
def test_each_type_has_its_channel(channel_type: str, sub_type: str, name: str, expected: tuple[str, bool]) -> None:
    """Only search and shopping may be brand: a video campaign for the brand captures no searches."""
    assert label(channel_type, sub_type, name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("search_brand_us", True),
        ("BRANDED - exact", True),
        ("BRD|DE", True),
        ("non-brand", False),
        ("Non Branded", False),
        ("unbranded", False),
        ("NB_generic", False),
        ("Competitor Brand Terms", False),
        ("Brandenburg hotels", False),
        ("Rebrand launch", False),
        ("Shoes", False),
        ("", False),
    ],
)
def test_brand_is_a_whole_word_and_a_denial_wins(name: str, expected: bool) -> None:
    """Letters inside another word do not count; non-brand, generic and competitor win over brand."""
    assert is_brand_name(name) is expected


def test_own_brand_terms_count_as_whole_phrases() -> None:
    """With the term, the campaign is brand; inside a longer word or beside a denial it is not."""
    assert is_brand_name("Acme Shoes | Exact", ["acme shoes"])
    assert not is_brand_name("Acmeshoes | Exact", ["acme shoes"])
    assert not is_brand_name("Acme Shoes | Generic", ["acme shoes"])
    assert not is_brand_name("Acme Shoes", ["  "])
