"""Names of the API's enum values, and ids out of resource names."""

from __future__ import annotations

import importlib
from functools import cache

from tasks.platforms.google_ads.version import API_VERSION
from tasks.platforms.normalise import UNKNOWN_ENUM


@cache
def enum_names(enum: str) -> dict[int, str]:
    """Number → name of an enum such as ``CampaignStatus``; UNSPECIFIED and UNKNOWN are left out on purpose."""
    holder = getattr(importlib.import_module(f"google.ads.googleads.{API_VERSION}.enums"), f"{enum}Enum")
    return {v.value: v.name for v in getattr(holder, enum) if v.name not in ("UNSPECIFIED", "UNKNOWN")}


def enum_name(enum: str, number: int) -> str:
    """Name of ``number``, or ``UNRECOGNISED_<number>``: a value newer than this API version, or one the API itself hides."""
    return enum_names(enum).get(number) or f"{UNKNOWN_ENUM}_{number}"


def last_part(resource_name: str) -> str:
    """Id at the end of a resource name, e.g. ``7001`` of ``customers/1/campaignBudgets/7001``."""
    return resource_name.rpartition("/")[2]
