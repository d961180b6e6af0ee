"""Airflow's environment here is the Composer image's, for all that DAGs and plugins import."""

import dataclasses
import re
import tomllib
from pathlib import Path

import composer_packages
import pytest
from composer_packages import IMAGE, Packages, differences, imported, load, parse, text_of

ROOT = Path(__file__).resolve().parents[2]
KPO = "apache-airflow-providers-cncf-kubernetes"
PAGE = f"""
August 26, 2026

composer-3-airflow-3.3.1-build.0

Packages in composer-3-airflow-3.3.1-build.0

        apache-airflow==3.3.1+composer
        {KPO}==10.14.0

composer-3-airflow-2.11.1-build.4

Packages in composer-3-airflow-2.11.1-build.4

        apache-airflow==2.11.1+composer
        {KPO}==10.5.0
"""
FORMS = {
    "page": PAGE,
    "html": "<!doctype html><html><script>x==1</script>" + "".join(f"<p>{line}</p>\n" for line in PAGE.splitlines()) + "</html>",
    "gcloud": f"NAME            VERSION\napache-airflow  3.3.1+composer\n{KPO.replace('-', '_')}  10.14.0\n",
    "freeze": f"apache-airflow==3.3.1+composer\n# a comment\n{KPO}==10.14.0\n",
    "json": f'[{{"name": "apache-airflow", "version": "3.3.1+composer"}}, {{"name": "{KPO}", "version": "10.14.0"}}]',
}


def test_what_dags_and_plugins_import_is_what_the_image_carries() -> None:
    """Each imported package has the image's version here; what nobody could confirm is marked there and as in uv.lock."""
    installed = imported()
    assert {"apache-airflow-core", "apache-airflow-task-sdk", KPO, "kubernetes"} <= set(installed)
    assert differences(load(), installed) == []


def test_the_pins_of_the_airflow_group_are_the_images() -> None:
    """uv.lock takes its versions from pyproject.toml; each == there stands in the list. The rest are tools of the tests."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    packages = load()
    known = packages.versions | packages.assumed
    tools = {"kubernetes-validate", "pytest", "pytest-timeout"}
    wanted = [re.split(r"(==|>=)", line)[:3] for line in groups["airflow"]]
    pinned = {name: version for name, how, version in wanted if how == "==" and name not in tools}
    assert {"apache-airflow", "apache-airflow-providers-google"} <= set(pinned)
    assert pinned.items() <= known.items()
    assert {name for name, *_ in wanted} - tools == set(pinned)


def test_the_list_is_of_the_pinned_image() -> None:
    """Its head names image, source and day; it reads back as it was written."""
    packages = load()
    assert packages.image == IMAGE
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", packages.read)
    assert "composer/docs/versions-packages" in packages.source
    assert text_of(packages) == composer_packages.LIST.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_list_is_read(form: str) -> None:
    """Google's page (the section of this image alone), gcloud's table, pip's two forms: names normal, Google's suffix gone."""
    assert parse(FORMS[form], IMAGE) == {"apache-airflow": "3.3.1", KPO: "10.14.0"}


@pytest.mark.parametrize(
    ("text", "error"), [(PAGE.replace("3.3.1-build.0", "3.3.1-build.9"), "has no list"), ("nothing", "no package")]
)
def test_a_text_without_the_image_is_refused(text: str, error: str) -> None:
    """Another build's versions are never taken for this one's."""
    with pytest.raises(SystemExit, match=error):
        parse(text, IMAGE)


def test_each_difference_is_named() -> None:
    """Another version, a package that the image lacks, an assumption that was overtaken by the list."""
    packages = Packages(
        IMAGE, "x", "2026-11-26", {"kubernetes": "35.0.0", "apache-airflow-core": "3.3.1"}, {"kubernetes": "34.0.0"}
    )
    assert differences(packages, {"kubernetes": "36.0.0", "pendulum": "3.3.0"}) == [
        f"kubernetes is 36.0.0 here and 35.0.0 in {IMAGE}",
        f"pendulum 3.3.0 is imported, and {IMAGE} is not known to have it",
        "kubernetes is assumed without need",
    ]
    real = load()
    older = dataclasses.replace(real, versions=real.versions | {KPO: "10.13.0"})
    assert differences(older, imported()) == [f"{KPO} is 10.14.0 here and 10.13.0 in {IMAGE}"]


@pytest.mark.parametrize(("partial", "code"), [(True, 0), (False, 1)])
def test_a_list_that_ends_early_must_be_called_so(
    partial: bool, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only with --partial is a package taken as in uv.lock, and then it is named as not confirmed."""
    page, written = tmp_path / "list.txt", tmp_path / "written.txt"
    page.write_text(f"apache-airflow-core==3.3.1\n{KPO}==10.14.0\n", encoding="utf-8")
    monkeypatch.setattr(composer_packages, "LIST", written)
    monkeypatch.setattr("sys.argv", ["composer_packages.py", str(page), "--write", *(["--partial"] if partial else [])])
    assert composer_packages.main() == code
    said = capsys.readouterr()
    assert ("not confirmed: kubernetes==" in said.out) == partial
    assert ("kubernetes" in said.err) == (not partial)
    assert set(load(written).assumed) == (set(imported()) - set(load(written).versions) if partial else set())
