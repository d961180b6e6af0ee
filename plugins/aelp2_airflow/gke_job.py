"""A job as a pod in a GKE cluster of our own: one namespace and one identity for each role, bound by Workload Identity.

Imported only where AELP2_RUNNER=gke: the google provider costs seconds (docs/decisions/0017-runners.md).
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.google.cloud.operators.kubernetes_engine import GKEOperatorMixin, GKEStartPodOperator

from aelp2_airflow.cluster_job import JobPod, JobPodOperator, pod_keywords
from aelp2_airflow.containers import Container
from aelp2_airflow.runner import gke_cluster


class GkeJobPodOperator(JobPod, GKEStartPodOperator):
    """A pod that runs one command of the `aelp2` image as the role that its access asks for.

    A secret exists only in the namespace of the role that may mount it: a reader that asked for the credentials of the mutator
    would never start.
    """

    # The base class makes its tuple from a set, whose order differs from process to process: to Airflow a new version of the DAG.
    template_fields: Sequence[str] = (*JobPodOperator.template_fields, *GKEOperatorMixin.template_fields)

    def __init__(
        self, *, container: Container, arguments: Sequence[str], execution_timeout: timedelta, xcom: bool = False, **kwargs: Any
    ) -> None:
        self.container = container
        cluster = gke_cluster()
        identity = f"aelp2-{container.role}"
        super().__init__(
            project_id=cluster.project,
            location=cluster.location,
            cluster_name=cluster.name,
            use_dns_endpoint=True,  # reached by name and IAM from wherever Airflow runs; no address of a control plane to open
            namespace=identity,
            service_account_name=identity,
            **pod_keywords(container, arguments, xcom, execution_timeout),
            **kwargs,
        )
