"""A job as a Kubernetes pod on Cloud Composer 3: all pod policy is here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from kubernetes.client import models as k8s

from aelp2_airflow.containers import SECRETS, SERVICE_ACCOUNTS, SIZES, Container, image_reference
from aelp2_airflow.exit_codes import FINAL, NOTHING_TO_DO, failure
from aelp2_airflow.templates import ACTOR, MACROS

NAMESPACE = "composer-user-workloads"  # Composer 3 runs user pods here and nowhere else
KUBE_CONFIG = "/home/airflow/composer_kube_config"
SETTINGS = "aelp2-settings"  # the ConfigMap with every AELP2_* setting that is no secret
POLICY = "aelp2-policy"  # the ConfigMap with policy.yaml, the budget rules; without it the built-in ones hold
_CREDENTIALS = "/etc/aelp2"
_POLICY = "/etc/aelp2-policy"
_SCRATCH = "/tmp"  # noqa: S108 - inside the pod, where it is an empty volume of its own


class JobPodOperator(KubernetesPodOperator):
    """A pod that runs one command of the `aelp2` image. Arguments only: the image's entry point is the program."""

    template_fields: Sequence[str] = KubernetesPodOperator.template_fields

    def __init__(self, *, container: Container, arguments: Sequence[str], xcom: bool = False, **kwargs: Any) -> None:
        self.container = container
        resources = SIZES[container.size]
        super().__init__(
            name=container.command,
            namespace=NAMESPACE,
            image=image_reference(container.image, Path(conf.get("core", "dags_folder")) / "images.lock.json"),
            arguments=list(arguments),
            config_file=KUBE_CONFIG,
            kubernetes_conn_id="kubernetes_default",
            service_account_name=SERVICE_ACCOUNTS[container.access],
            container_resources=k8s.V1ResourceRequirements(requests=dict(resources), limits=dict(resources)),
            security_context=k8s.V1PodSecurityContext(
                run_as_non_root=True,
                run_as_user=10001,
                run_as_group=10001,
                fs_group=10001,
                seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
            ),
            container_security_context=k8s.V1SecurityContext(
                privileged=False,
                allow_privilege_escalation=False,
                read_only_root_filesystem=True,
                capabilities=k8s.V1Capabilities(drop=["ALL"]),
            ),
            labels={"app": "aelp2", "job": container.command, "access": container.access},
            env_from=[k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name=SETTINGS))],
            env_vars=_environment(container, xcom),
            volumes=_volumes(container),
            volume_mounts=_mounts(container),
            do_xcom_push=xcom,
            skip_on_exit_code=NOTHING_TO_DO,
            # A mutating pod must never be joined or repeated by name: a second attempt is a new run with its own receipts.
            reattach_on_restart=not container.mutates,
            on_finish_action="delete_succeeded_pod",
            log_events_on_failure=True,
            log_pod_spec_on_failure=False,
            startup_timeout_seconds=600,  # Autopilot may have to add a node first
            get_logs=True,
            automount_service_account_token=True,  # Workload Identity reads it to reach BigQuery
            termination_grace_period=60,
            **kwargs,
        )

    def _do_render_template_fields(self, parent: Any, template_fields: Any, context: Any, jinja_env: Any, seen_oids: Any) -> None:
        """Render with the words of `templates` at hand; this is where tasks and instances of a mapped task both come through."""
        super()._do_render_template_fields(parent, template_fields, {**context, **MACROS}, jinja_env, seen_oids)

    def cleanup(self, pod: Any, remote_pod: Any, xcom_result: dict[str, Any] | None = None, context: Any = None) -> None:
        """Delete the pod as the base class does; a final exit code of the job ends the task without another try."""
        try:
            super().cleanup(pod=pod, remote_pod=remote_pod, xcom_result=xcom_result, context=context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            code = self._exit_code(remote_pod)
            if code not in FINAL:
                raise
            raise failure(self.container.command, code) from error

    def _exit_code(self, remote_pod: Any) -> int | None:
        statuses = (remote_pod.status.container_statuses if remote_pod and remote_pod.status else None) or []
        ended = [status.state.terminated for status in statuses if status.name == self.base_container_name and status.state]
        return ended[0].exit_code if ended and ended[0] else None


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
