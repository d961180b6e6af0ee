"""The HTTP APIs of the platforms beside Google Ads, each in its own words, over one market."""

from tasks.lab.apis.linkedin import LinkedInApi
from tasks.lab.apis.meta import MetaApi
from tasks.lab.apis.reddit import RedditApi
from tasks.lab.apis.tiktok import TikTokApi
from tasks.lab.apis.x import XApi

APIS = (MetaApi, LinkedInApi, TikTokApi, RedditApi, XApi)
