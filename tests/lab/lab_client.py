"""Helpers that several test modules of the sandbox share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lab.process import RunningSandbox


def client_of(sandbox: RunningSandbox, **overrides: Any) -> Any:
    """The official client, unpatched, configured as a product job configures it."""
    from google.ads.googleads.client import GoogleAdsClient

    config = yaml.safe_load(Path(sandbox.env["AELP2_GOOGLE_ADS_CONFIG"]).read_text(encoding="utf-8"))
    version = overrides.pop("version", None)
    config |= {"endpoint": sandbox.env["AELP2_GOOGLE_ADS_ENDPOINT"]} | overrides
    return GoogleAdsClient.load_from_dict(config, version=version)


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """(gRPC status, error code) of the GoogleAdsException that ``call`` raises; the request id must be there."""
    from google.ads.googleads.errors import GoogleAdsException

    with pytest.raises(GoogleAdsException) as error:
        call()
    failure = error.value.failure
    assert error.value.request_id == failure.request_id != ""
    family = failure.errors[0].error_code._pb.WhichOneof("error_code")
    return error.value.error.code().name, getattr(failure.errors[0].error_code, family).name
