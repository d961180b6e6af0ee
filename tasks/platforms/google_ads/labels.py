"""Channel and brand of a campaign, derived from its type and clear name before the name is hashed.

| advertising channel type | sub type | channel |
| --- | --- | --- |
| SEARCH | SEARCH_MOBILE_APP | APP |
| SEARCH | any other | SEARCH_BRAND or SEARCH_NONBRAND |
| VIDEO | any | YOUTUBE |
| DEMAND_GEN | any | DEMAND_GEN |
| PERFORMANCE_MAX | any | PMAX |
| DISPLAY | DISPLAY_MOBILE_APP | APP |
| MULTI_CHANNEL | any | APP |
| any other known type | any | the type itself |

A SEARCH or SHOPPING campaign is brand if its name says so. The name is lower-cased and cut into words at everything that is
no letter or digit; then the first rule that fits decides:

1. words that say otherwise (nonbrand, non brand, no brand, unbranded, nb, generic, competitor, conquest): not brand;
2. the word brand, branded or brd: brand;
3. one of the advertiser's own brand terms (``--brand-terms``) as a whole word or phrase: brand;
4. nothing of that: not brand.

Other channels are never brand: a YouTube campaign for the brand does not capture searches for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_NOT_BRAND = re.compile(r"\b(non ?brand(ed)?|no brand|not brand(ed)?|un ?branded|nb|generic|competitors?|conquest(ing)?)\b")
_BRAND = re.compile(r"\b(brand(ed)?|brd)\b")
_CHANNELS = {"VIDEO": "YOUTUBE", "PERFORMANCE_MAX": "PMAX", "MULTI_CHANNEL": "APP"}
_APP_SUB_TYPES = {"SEARCH_MOBILE_APP", "DISPLAY_MOBILE_APP"}
_MAY_BE_BRAND = {"SEARCH", "SHOPPING"}


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def is_brand_name(name: str, brand_terms: Sequence[str] = ()) -> bool:
    """Whether a search campaign of this clear name captures searches for the own brand (rules 1–4 above)."""
    words = _words(name)
    if _NOT_BRAND.search(words):
        return False
    if _BRAND.search(words):
        return True
    return any(f" {_words(term)} " in f" {words} " for term in brand_terms if _words(term))


def label(channel_type: str, sub_type: str, name: str, brand_terms: Sequence[str] = ()) -> tuple[str, bool]:
    """(channel, is_brand) of a campaign by the tables above."""
    is_brand = channel_type in _MAY_BE_BRAND and is_brand_name(name, brand_terms)
    if sub_type in _APP_SUB_TYPES:
        return "APP", False
    if channel_type == "SEARCH":
        return ("SEARCH_BRAND" if is_brand else "SEARCH_NONBRAND"), is_brand
    return _CHANNELS.get(channel_type, channel_type), is_brand
