"""What one job's container looks like: checked when the DAG is parsed, so that a wrong one never reaches the cluster."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Size = Literal["s", "m", "l"]
Access = Literal["none", "salt", "read", "mutate"]

# CPU and memory of a pod: requests equal limits, as GKE Autopilot wants it; "l" holds four MMM chains.
SIZES: dict[str, dict[str, str]] = {
    "s": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1Gi"},
    "m": {"cpu": "1", "memory": "4Gi", "ephemeral-storage": "2Gi"},
    "l": {"cpu": "4", "memory": "16Gi", "ephemeral-storage": "4Gi"},
}
# Who the pod is, and the Kubernetes Secret it mounts. Only a mutating pod holds credentials that can mutate.
ROLES: dict[str, str] = {"none": "modeller", "salt": "modeller", "read": "reader", "mutate": "mutator"}
SECRETS: dict[str, str | None] = {
    "none": None,
    "salt": "aelp2-name-salt",
    "read": "aelp2-google-ads-read",
    "mutate": "aelp2-google-ads-mutate",
}

_COMMAND = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_DIGEST = re.compile(r"[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}")


class ContainerError(ValueError):
    """The definition of a job's container is wrong; Airflow shows it as the DAG's import error."""


@dataclass(frozen=True)
class Container:
    """One job's container.

    command     command of the `aelp2` CLI, for example `fit-mmm`
    args        its arguments; templates allowed; never a shell line
    image       name of the image in images.lock.json, for example `mmm`
    size        `s`, `m` or `l`, see SIZES
    access      which secret the pod holds: `none`; `salt`, with which ids are hashed; or credentials of the ad platforms and
                the salt, `read` or `mutate` (which also means: never retried, one at a time)
    """

    command: str
    args: tuple[str, ...] = field(default=())
    image: str = "ads"
    size: Size = "s"
    access: Access = "none"

    def __post_init__(self) -> None:
        if not _COMMAND.fullmatch(self.command):
            raise ContainerError(f"command {self.command!r} is not a command of aelp2 such as 'fit-mmm'")
        for value in self.args:
            if not isinstance(value, str):
                raise ContainerError(f"{self.command}: argument {value!r} is a {type(value).__name__}; write it as text")
        for name, value, allowed in (("size", self.size, SIZES), ("access", self.access, SECRETS)):
            if value not in allowed:
                raise ContainerError(f"{self.command}: {name}={value!r} is not one of {', '.join(allowed)}")

    @property
    def role(self) -> str:
        """Who the pod is: `modeller`, `reader` or `mutator`."""
        return ROLES[self.access]

    @property
    def mutates(self) -> bool:
        """True if the pod holds credentials that can change a live account."""
        return self.access == "mutate"


def image_reference(image: str, lock: Path) -> str:
    """The reference by digest of ``image`` from the lock file; ContainerError says what is wrong with it."""
    try:
        images = json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ContainerError(f"{lock} is missing; the release writes it (image name → reference by digest)") from None
    except json.JSONDecodeError as error:
        raise ContainerError(f"{lock} is not JSON: {error}") from error
    if image not in images:
        raise ContainerError(f"{lock} has no image {image!r}; it has {', '.join(sorted(images)) or 'none'}")
    reference = images[image]
    if not isinstance(reference, str) or not _DIGEST.fullmatch(reference):
        raise ContainerError(f"{lock}: {image} is {reference!r}; expected …@sha256:<64 hex digits>, because a tag can move")
    return reference
