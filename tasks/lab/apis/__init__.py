"""The HTTP APIs of the platforms beside Google Ads, each in its own words, over one market."""

from tasks.lab.apis.reddit import RedditApi

APIS = (RedditApi,)
