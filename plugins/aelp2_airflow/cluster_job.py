"""A job as a Kubernetes pod: all pod policy is here, for Composer's own cluster and for one of our own (gke_job).

Composer 3 hides its cluster: pods run in the namespace `composer-user-workloads` as its default service account, which is the
environment's own Google identity, and nobody can make another. So no service account is named there; what tells roles apart
is which secret a pod mounts. On a cluster of our own each role has a namespace and an identity. docs/decisions/0017-runners.md
"""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException, AirflowSkipException, AirflowTaskTimeout
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException

from aelp2_airflow.containers import SECRETS, SIZES, Container, image_reference
from aelp2_airflow.exit_codes import NOTHING_TO_DO, failure
from aelp2_airflow.failure_kinds import Failure, Kind, error, exit_code, of_pod
from aelp2_airflow.templates import ACTOR, MACROS

NAMESPACE = "composer-user-workloads"  # Composer 3 runs user pods here and nowhere else
KUBE_CONFIG = "/home/airflow/composer_kube_config"
SETTINGS = "aelp2-settings"  # the ConfigMap with every AELP2_* setting that is no secret
POLICY = "aelp2-policy"  # the ConfigMap with policy.yaml, the budget rules; without it the built-in ones hold
_SIDECAR = "airflow-xcom-sidecar"  # the one sidecar that Composer 3 allows, by this name
_SIDECAR_SIZE = {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "64Mi"}  # a shell that sleeps
_CREDENTIALS = "/etc/aelp2"
_POLICY = "/etc/aelp2-policy"
_SCRATCH = "/tmp"  # noqa: S108 - inside the pod, where it is an empty volume of its own


def pod_keywords(container: Container, arguments: Sequence[str], xcom: bool, execution_timeout: timedelta) -> dict[str, Any]:
    """What every pod of a job has, whichever cluster it runs in: the keywords of its operator."""
    return {
        "name": container.command,
        "image": image_reference(container.image, Path(conf.get("core", "dags_folder")) / "images.lock.json"),
        "arguments": list(arguments),
        "container_resources": _exactly(SIZES[container.size]),
        "security_context": k8s.V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=10001,
            run_as_group=10001,
            fs_group=10001,
            seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
        ),
        "container_security_context": _unprivileged(),
        "labels": {"app": "aelp2", "job": container.command, "access": container.access},
        "env_from": [k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name=SETTINGS))],
        "env_vars": _environment(container, xcom),
        "volumes": _volumes(container),
        "volume_mounts": _mounts(container),
        "do_xcom_push": xcom,
        "skip_on_exit_code": NOTHING_TO_DO,
        # A mutating pod must never be joined or repeated by name: a second attempt is a new run with its own receipts.
        "reattach_on_restart": not container.mutates,
        "on_finish_action": "delete_succeeded_pod",
        "log_events_on_failure": True,
        "log_pod_spec_on_failure": False,
        "startup_timeout_seconds": 600,  # Autopilot may have to add a node first
        "get_logs": True,
        "deferrable": False,  # the triggerer has no plugins on Composer 3, and these tasks read their pod's log as it runs
        "automount_service_account_token": True,  # Workload Identity reads it to reach BigQuery
        "termination_grace_period": 60,
        # The cluster ends the pod where Airflow no longer can: its worker died, its database is away. Airflow's own clock began
        # earlier, before the pod had a node, so where both run it is Airflow that ends the task.
        "active_deadline_seconds": int(execution_timeout.total_seconds()),
        "execution_timeout": execution_timeout,
    }


class JobPod:
    """What the operators of both clusters do differently from their base classes."""

    container: Container

    def _do_render_template_fields(self, parent: Any, template_fields: Any, context: Any, jinja_env: Any, seen_oids: Any) -> None:
        """Render with the words of `templates` at hand; this is where tasks and instances of a mapped task both come through."""
        super()._do_render_template_fields(parent, template_fields, {**context, **MACROS}, jinja_env, seen_oids)  # type: ignore[misc]

    def build_pod_request_obj(self, context: Any = None) -> k8s.V1Pod:
        """The pod as the base class builds it, with the XCom sidecar under the same rules as the job.

        The base class takes an image by a tag from a public registry for it and gives it no limits. The job's own image has the
        shell it needs, is already on the node, and is named by digest.
        """
        pod = super().build_pod_request_obj(context)  # type: ignore[misc]
        for container in pod.spec.containers:
            if container.name == _SIDECAR:
                container.image = pod.spec.containers[0].image
                container.resources = _exactly(_SIDECAR_SIZE)
                container.security_context = _unprivileged()
        return pod

    def cleanup(self: Any, pod: Any, remote_pod: Any, xcom_result: dict[str, Any] | None = None, context: Any = None) -> None:
        """Delete the pod as the base class does, end one that still lives, and say why it failed (failure_kinds).

        The base class calls this on its way out of `execute`, whatever the reason, and would cover the reason with an error of
        its own, made from what the pod looked like when it was created.
        """
        reason = sys.exception()
        if isinstance(reason, AirflowTaskTimeout) or self._killed:
            return  # on a timeout Airflow calls on_kill, which ends the pod, but only if it gets to see the timeout
        if remote_pod is None:
            if pod is not None:  # asked for, and never seen: the answer can be what was lost, and the pod be there
                self.pod = pod
                self.on_kill()
            return
        try:
            if remote_pod.status.phase not in ("Succeeded", "Failed"):
                remote_pod = self.pod_manager.read_pod(remote_pod)
            super().cleanup(pod=pod, remote_pod=remote_pod, xcom_result=xcom_result, context=context)
        except ApiException as gone:
            if gone.status != 404:
                self.on_kill()
                raise
            if remote_pod.status.phase != "Succeeded":
                why = "lost its pod: the node went away, or somebody deleted it"
                raise error(self.container.command, Failure(Kind.EVICTED, why)) from (reason or gone)
        except AirflowSkipException:
            raise
        except AirflowException as failed:
            if remote_pod.status.phase not in ("Succeeded", "Failed"):
                self.on_kill()  # what Airflow has given up must not begin later, least of all a pod that mutates
            raise self._failure(remote_pod, reason) from (reason or failed)

    def _failure(self: Any, remote_pod: Any, reason: BaseException | None) -> AirflowException:
        command: str = self.container.command
        if found := of_pod(remote_pod):
            return error(command, found)
        code = exit_code(remote_pod, self.base_container_name)
        if code:
            return failure(command, code)
        if remote_pod.status.phase == "Failed":
            why = "ended well, but its pod did not" if code == 0 else "failed, and its pod does not say why"
        else:
            why = f"could not be followed to its end, so its pod was ended; the cause, {type(reason).__name__}, is above"
        return error(command, Failure(Kind.UNKNOWN, why))


class JobPodOperator(JobPod, KubernetesPodOperator):
    """A pod that runs one command of the `aelp2` image in Composer's own cluster. Arguments only: the image's entry point is the
    program."""

    template_fields: Sequence[str] = KubernetesPodOperator.template_fields

    def __init__(
        self, *, container: Container, arguments: Sequence[str], execution_timeout: timedelta, xcom: bool = False, **kwargs: Any
    ) -> None:
        self.container = container
        super().__init__(
            namespace=NAMESPACE,
            config_file=KUBE_CONFIG,
            kubernetes_conn_id="kubernetes_default",
            **pod_keywords(container, arguments, xcom, execution_timeout),
            **kwargs,
        )


def _exactly(resources: dict[str, str]) -> k8s.V1ResourceRequirements:
    return k8s.V1ResourceRequirements(requests=dict(resources), limits=dict(resources))


def _unprivileged() -> k8s.V1SecurityContext:
    return k8s.V1SecurityContext(
        privileged=False,
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    )


def _environment(container: Container, xcom: bool) -> list[k8s.V1EnvVar]:
    # A pod's disk is gone with the pod: a forgotten backend would load years of data into a file that nobody sees again.
    values = {"AELP2_ACTOR": ACTOR, "AELP2_BACKEND": "bigquery"}
    values |= {"HOME": _SCRATCH, "PYTENSOR_FLAGS": f"base_compiledir={_SCRATCH}/pytensor"}
    if container.access in ("read", "mutate"):
        values["AELP2_GOOGLE_ADS_CONFIG"] = f"{_CREDENTIALS}/google-ads.yaml"
        values["AELP2_CREDENTIALS_DIR"] = _CREDENTIALS  # meta.yaml, linkedin.yaml … beside it, in the same secret
    if SECRETS[container.access]:
        # The same salt in every pod: with one of its own no name would match what the pod of the day before stored.
        values["AELP2_NAME_SALT_FILE"] = f"{_CREDENTIALS}/name_salt"
    if xcom:
        values["AELP2_XCOM_FILE"] = "/airflow/xcom/return.json"
    return [k8s.V1EnvVar(name=name, value=value) for name, value in values.items()]


def _volumes(container: Container) -> list[k8s.V1Volume]:
    # The root file system is read-only; libraries want somewhere to put caches and temporary files.
    volumes = [
        k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource()),
        k8s.V1Volume(name="policy", config_map=k8s.V1ConfigMapVolumeSource(name=POLICY, optional=True)),
    ]
    if secret := SECRETS[container.access]:
        source = k8s.V1SecretVolumeSource(secret_name=secret, default_mode=0o440)
        volumes.append(k8s.V1Volume(name="credentials", secret=source))
    return volumes


def _mounts(container: Container) -> list[k8s.V1VolumeMount]:
    mounts = [
        k8s.V1VolumeMount(name="tmp", mount_path=_SCRATCH),
        k8s.V1VolumeMount(name="policy", mount_path=_POLICY, read_only=True),
    ]
    if SECRETS[container.access]:
        mounts.append(k8s.V1VolumeMount(name="credentials", mount_path=_CREDENTIALS, read_only=True))
    return mounts
