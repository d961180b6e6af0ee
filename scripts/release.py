"""One release: version → images by digest → dags/images.lock.json → plan → apply → pools → smoke DAG.

    .venv-airflow/bin/python scripts/release.py dev
    .venv-airflow/bin/python scripts/release.py dev --dry-run   # every step with its commands; touches nothing

Every command is shown before it runs. A release that stopped half-way goes on when the same command runs again: what is done is
found where it lies (the lock file, Terraform's state, Airflow) and is not done twice. docs/deploy.md tells the whole way,
docs/runbooks/rollback.md the way back.
"""

import argparse
import contextlib
import fcntl
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import release_airflow
import release_plan
import release_source
from airflow_api import AirflowApi, AirflowApiError
from release_source import BUILT, LOCK, RECORDS, Target
from release_tools import Programs, ReleaseError, builder, foreign_machine, missing_programs

ROOT = Path(__file__).resolve().parents[1]
COMPOSER = "aelp2"  # name of the environment, in terraform/platform
_STACK = "terraform/release"
_PROGRAMS = ("git", "make", "terraform", "gcloud")


class Release:
    """The steps, in order. Each looks first whether it is done."""

    def __init__(self, root: Path, options: argparse.Namespace, say: Callable[[str], None] = print) -> None:
        self.root = root
        self.options = options
        self.say = say
        self.programs = Programs(root, dry=options.dry_run, say=say)
        self.dry: bool = options.dry_run
        self.builder = builder()
        # Who once asked for GrowthBook's SDK needs it in the next release too.
        self.flags: bool = release_source.had_flags(root) if options.flags is None else options.flags
        self.images = release_source.images_of_dags(root)
        self.version = release_source.version_of(root)
        self.place: Target = release_source.target(root, options.environment)
        # The registry lets no tag move, so each attempt has its own; DAGs go by digest and never see it.
        self.tag = f"{self.version}-{datetime.now(UTC):%Y%m%d%H%M%S}"
        self._state_file = root / ".local" / "release" / "state.json"
        self._plan = root / ".local" / "release" / f"{options.environment}.tfplan"

    def run(self) -> None:
        """All steps; ReleaseError stops at the first that cannot go on."""
        steps = (self.check, self.test, self.build, self.lock, self.plan, self.apply, self.pools, self.smoke, self.end)
        for number, step in enumerate(steps, 1):
            self.say(f"\n[{number}/{len(steps)}] {(step.__doc__ or '').splitlines()[0]}")
            step()

    # --- the source

    def check(self) -> None:
        """check: programs, a clean work tree, the version in the changelog, an environment of your own"""
        problems = missing_programs([*_PROGRAMS, self.builder])
        if not self._is_locked():
            problems += foreign_machine()
        # Its own records alone may wait for their commit: a release that stopped right there goes on below.
        others = (".", *(f":(exclude){file}" for file in RECORDS))
        changed = self.programs.quietly("git", "status", "--porcelain", "--", *others)
        if changed:
            problems.append(f"the work tree is not clean, so the release could not be repeated; commit or stash:\n{changed}")
        problems += release_source.problems(self.root, self.version, self.place)
        commit = self.programs.quietly("git", "describe", "--always", "--tags")
        self.say(f"version {self.version} at {commit}; images {', '.join(self.images)}")
        place = self.place
        self.say(f"environment {place.environment}: project {place.project}, {place.region}, registry {place.registry}")
        if problems and not self.dry:
            raise ReleaseError("\n".join(problems))
        for problem in problems:
            self.say(f"would stop: {problem}")

    def test(self) -> None:
        """tests: passed for this source, or run now"""
        key, state = release_source.tested_sha(self.programs), self._state()
        if how := state["tested"].get(key):
            self.say(f"passed before: {how}")
            return
        if self.options.tested_by:
            how = f"said by who released: {self.options.tested_by}"
            self.say(f"not run here; {how}")
        else:
            self.programs.run("make", "test")
            how = f"make test here, {self.version}"
        if not self.dry:
            state["tested"][key] = how
            self._store(state)

    # --- images

    def build(self) -> None:
        """images: build and push those that the lock file does not have yet"""
        if self._is_locked():
            self.say(f"{LOCK} has the images of this source already")
            return
        state = self._state()
        pushed = state["pushed"].setdefault(self._pushed_key(), {})
        left = [image for image in self.images if image not in pushed]
        if left and self.builder == "podman":
            flags = ("--flags",) if self.flags else ()
            self.programs.run(".venv/bin/python", "scripts/images.py", "--release", *flags, *left)
        with self._logged_in() if left else contextlib.nullcontext():
            for image in left:
                reference = f"{self.place.registry}/{image}:{self.tag}"
                digest = self._push(image, reference) if self.builder == "podman" else self._docker(image, reference)
                if not self.dry:
                    pushed[image] = release_source.check_digest(image, digest)
                    self._store(state)
                    self.say(f"  {image} is {pushed[image]}")
        for image in sorted(set(self.images) - set(left)):
            self.say(f"  {image} was pushed before: {pushed[image]}")

    @contextlib.contextmanager
    def _logged_in(self) -> Iterator[None]:
        """By a token of an hour, through the standard input: neither process list nor log shows it, and no file keeps it."""
        token = self._token()
        host = self.place.registry.split("/")[0]
        self.programs.run(self.builder, "login", "--username", "oauth2accesstoken", "--password-stdin", host, stdin=token)
        try:
            yield
        finally:
            self.programs.run(self.builder, "logout", host)

    def _push(self, image: str, reference: str) -> str:
        """The digest that podman reports."""
        file = self._state_file.parent / f"{image}.digest"
        if not self.dry:
            file.unlink(missing_ok=True)  # that of an earlier push must not pass for this one's
        # Local names are shared by all clones of this machine: a build of another one may have taken it over meanwhile.
        asked = ("podman", "image", "inspect", f"localhost/aelp2-{image}")
        (built,) = json.loads(self.programs.read(*asked, instead="[{}]"))
        if not self.dry:
            release_source.check_image(image, built.get("Labels") or {}, self.programs.quietly("git", "rev-parse", "HEAD"))
        self.programs.run("podman", "push", "--digestfile", str(file), built.get("Id", f"<id of {image}>"), reference)
        return file.read_text(encoding="ascii", errors="replace") if file.is_file() and not self.dry else ""

    def _docker(self, image: str, reference: str) -> str:
        """Build and push without podman; docker writes no digest file, and knows a digest for each registry it pushed to."""
        values = (f"EXTRA={image}", f"VERSION={self.version}", f"REVISION={self.programs.quietly('git', 'rev-parse', 'HEAD')}")
        given = [f"--build-arg={value}" for value in (*values, *(("FLAGS=1",) if self.flags else ()))]
        self.programs.run("docker", "build", "--file", "images/Dockerfile", *given, "--tag", reference, ".")
        self.programs.run("docker", "push", reference)
        asked = ("docker", "image", "inspect", "--format", "{{json .RepoDigests}}", reference)
        known: list[str] = json.loads(self.programs.read(*asked, instead="[]"))
        own = [name for name in known if name.startswith(f"{self.place.registry}/{image}@")]
        return own[0].split("@")[1] if own else ""

    def lock(self) -> None:
        """lock: write dags/images.lock.json and commit it, so that Git says which images ran with which DAGs"""
        if not self._is_locked():
            self._write_lock()
        # A contract that cannot be made of the table that is out ends the release here.
        self.programs.run(".venv/bin/python", "scripts/released_contracts.py", "--write")
        if self._waiting(*RECORDS) if not self.dry else not self._is_locked():
            self.programs.run("git", "add", "--", *RECORDS)
            self.programs.run("git", "commit", "--quiet", "--message", f"Release {self.version}", "--", *RECORDS)

    def _write_lock(self) -> None:
        pushed = self._state()["pushed"].get(self._pushed_key(), {})
        for image in self.images:
            self.say(f"  {image}: {self.place.registry}/{image}@{pushed.get(image, 'sha256:<as pushed>')}")
        if not self.dry:
            built = {"version": self.version, "source_sha256": self._source(), "flags": self.flags}
            release_source.write_lock(self.root, built, self.place.registry, {image: pushed[image] for image in self.images})

    # --- infrastructure

    def plan(self) -> None:
        """plan: what Terraform would change in tables, views and DAG files; nothing that holds rows may be destroyed"""
        environment = self.place.environment
        backend = f"-backend-config=environments/{environment}.gcs.tfbackend"
        self.programs.run("terraform", f"-chdir={_STACK}", "init", "-input=false", "-reconfigure", backend)
        saved = ("-input=false", "-lock-timeout=60s", f"-var-file=environments/{environment}.tfvars", f"-out={self._plan}")
        self.programs.run("terraform", f"-chdir={_STACK}", "plan", *saved)
        shown = self.programs.read(
            "terraform", f"-chdir={_STACK}", "show", "-json", str(self._plan), instead='{"resource_changes": []}'
        )
        allowed = set(self.options.allow_destroy)
        self.say("a plan that destroys a table is refused" if self.dry else f"the plan: {release_plan.check(shown, allowed)}")

    def apply(self) -> None:
        """apply: exactly the plan that was shown"""
        self.programs.ask(f"Apply this plan to {self.place.environment} ({self.place.project})?", yes=self.options.yes)
        # A saved plan is refused if the state has moved since, so of two releases at once the second plans anew.
        self.programs.run("terraform", f"-chdir={_STACK}", "apply", "-input=false", "-lock-timeout=60s", str(self._plan))
        if not self.dry:
            self._plan.unlink()

    # --- Airflow

    def pools(self) -> None:
        """pools: of Airflow, through its REST API"""
        api = self._airflow()
        for name, (slots, description) in release_airflow.POOLS.items():
            self.say(f"  PUT pool {name}: {slots} ({description})")
        if api:
            release_airflow.set_pools(api)

    def smoke(self) -> None:
        """smoke: one pod of each image and role says whether it has what its jobs need"""
        api = self._airflow()
        self.say(f"  POST /api/v2/dags/{release_airflow.SMOKE}/dagRuns, then its tasks until they end")
        if api is None:
            return
        release = {"version": self.version, "commit": self.programs.quietly("git", "rev-parse", "HEAD")}
        lock, dags = release_airflow.read_lock(self.root), release_airflow.dag_files(self.root)
        test = release_airflow.Smoke(api, lock, dags, self.say)
        test.run(release, files_s=self.options.files_s, run_s=release_airflow.RUN_S)

    def end(self) -> None:
        """done: what is left to you"""
        self.say(f"Version {self.version} is in {self.place.environment}." if not self.dry else "Nothing was touched.")
        self.say("Share it:   git push")
        if self.place.environment == "prod":
            self.say(f"Mark it:    git tag --annotate v{self.version} --message 'In prod' && git push origin v{self.version}")
        self.say(f"Go back:    a commit with the source of before, then make release ENVIRONMENT={self.place.environment}")
        self.say("            (docs/runbooks/rollback.md: images and DAGs go back together, for the lock file is in Git)")

    # --- what they share

    def _token(self) -> str:
        self.say("$ gcloud auth print-access-token")
        return "" if self.dry else self.programs.quietly("gcloud", "auth", "print-access-token")

    def _airflow(self) -> AirflowApi | None:
        """A session of its own for each step, since the token lives an hour; None in a dry run."""
        where = ("--project", self.place.project, "--location", self.place.region)
        describe = ("gcloud", "composer", "environments", "describe", COMPOSER, *where, "--format", "value(config.airflowUri)")
        url, token = self.programs.read(*describe), self._token()
        return None if self.dry else release_airflow.connect(url, token)

    def _source(self) -> str:
        return release_source.source_sha(self.programs, flags=self.flags)

    def _is_locked(self) -> bool:
        """Whether the committed lock has the images of this source; one that was written and not committed is written again."""
        there = release_source.is_locked(self.root, self._source(), self.place.registry, self.images)
        return there and not self._waiting(LOCK, BUILT)

    def _waiting(self, *files: str) -> bool:
        return bool(self.programs.quietly("git", "status", "--porcelain", "--", *files))

    def _pushed_key(self) -> str:
        return f"{self.place.registry} {self.version} {self._source()}"

    def _state(self) -> dict[str, Any]:
        """What this machine knows of releases that stopped half-way: tests that passed, digests that were pushed."""
        if not self._state_file.is_file():
            return {"tested": {}, "pushed": {}}
        state: dict[str, Any] = json.loads(self._state_file.read_text(encoding="utf-8"))
        return state

    def _store(self, state: dict[str, Any]) -> None:
        draft = self._state_file.with_suffix(".new")
        draft.write_text(json.dumps(state, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        draft.replace(self._state_file)


@contextlib.contextmanager
def alone(root: Path, *, dry: bool) -> Iterator[None]:
    """One release at a time from this folder; those of other machines meet at the lock of Terraform's state."""
    if dry:
        yield
        return
    folder = root / ".local" / "release"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # a plan holds every value of the state
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReleaseError("another release runs from this folder; wait until it ends") from None
        yield


def arguments_of(given: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", help="name of the tfvars files: dev or prod")
    parser.add_argument("--dry-run", action="store_true", help="show every step with its commands and touch nothing")
    parser.add_argument(
        "--yes", action="store_true", help="apply the plan without asking; for a pipeline that has asked somebody"
    )
    parser.add_argument(
        "--tested-by", metavar="WHO", help="do not run the tests: say which run of CI passed them for this commit"
    )
    parser.add_argument(
        "--flags", action=argparse.BooleanOptionalAction, default=None, help="GrowthBook's SDK in the images, for AELP2_FLAGS"
    )
    parser.add_argument(
        "--allow-destroy",
        action="append",
        default=[],
        metavar="DATASET.TABLE",
        help="let the plan destroy this table; repeatable",
    )
    parser.add_argument(
        "--files-s", type=float, default=release_airflow.FILES_S, help="seconds until Composer must have taken the new files"
    )
    return parser.parse_args(given)


def main(given: list[str] | None = None, root: Path = ROOT) -> int:
    """Release; 1 and one clear message if it stopped."""
    options = arguments_of(given)
    try:
        with alone(root, dry=options.dry_run):
            Release(root, options).run()
    except (ReleaseError, AirflowApiError) as error:
        sys.stdout.flush()
        sys.stderr.write(f"\nerror: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
