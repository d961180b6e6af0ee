"""Parts of a DAG that run only if its form asked for them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException


class WishOperator(BaseOperator):
    """Succeeds if ``wish`` renders to something that is neither empty, nor zero, nor false; else what follows is skipped."""

    template_fields: Sequence[str] = ("wish",)
    ui_color = "#f0f0f0"

    def __init__(self, *, wish: str, execution_timeout: timedelta = timedelta(minutes=5), **kwargs: Any) -> None:
        super().__init__(execution_timeout=execution_timeout, **kwargs)
        self.wish = wish

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow's signature
        """Skip, or do nothing."""
        if str(self.wish).strip().lower() in ("", "0", "false", "none"):
            raise AirflowSkipException("the form did not ask for it")
