"""The HTTP APIs of the platforms beside Google Ads, each in its own words, over one market."""

from tasks.lab.apis.meta import MetaApi
from tasks.lab.apis.reddit import RedditApi

APIS = (MetaApi, RedditApi)
