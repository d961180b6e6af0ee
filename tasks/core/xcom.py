"""Hand a small JSON value to Airflow. Never a secret, never personal data: XComs are readable by every UI user."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path


def push(value: Mapping[str, object] | Sequence[object]) -> None:
    """Write ``value`` as JSON to the file that ``AELP2_XCOM_FILE`` names; outside Airflow it is unset and nothing happens."""
    target = os.environ.get("AELP2_XCOM_FILE")
    if target:
        Path(target).write_text(json.dumps(value, sort_keys=True), encoding="utf-8")
