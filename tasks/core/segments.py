"""Prospecting and remarketing as media channels of their own: which campaigns are which, and what the parts are called.

The policy lists the campaigns that show ads to people who were there before (``remarketing_campaign_ids``). Names of campaigns
are hashed at the door, so ids say it. The marketing-mix model remembers the split it was fitted with, and whoever reads its
curves reads the split there: a list changed since takes effect with the next fit, never halfway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PROSPECTING, REMARKETING = "_PROSPECTING", "_REMARKETING"


@dataclass(frozen=True)
class Split:
    """``channels`` that are split, and the ids of the campaigns whose part is remarketing; all others are prospecting."""

    channels: tuple[str, ...] = ()
    campaign_ids: tuple[str, ...] = ()

    def name(self, channel: str, is_remarketing: bool) -> str:
        """Channel of the model: the part of ``channel``, or ``channel`` itself where it is not split."""
        if channel not in self.channels:
            return channel
        return channel + (REMARKETING if is_remarketing else PROSPECTING)

    def names(self, channels: Iterable[str], campaign_ids: Iterable[str]) -> tuple[str, ...]:
        """Channels of the model that a budget with these channels and campaigns pays for, sorted."""
        members = tuple(campaign_ids)
        parts = {self.name(channel, campaign in self.campaign_ids) for channel in channels for campaign in members}
        return tuple(sorted(parts or channels))


UNSPLIT = Split()


def whole(channel: str) -> str:
    """The platform's channel that ``channel`` is, or is a part of."""
    return channel.removesuffix(PROSPECTING).removesuffix(REMARKETING)
