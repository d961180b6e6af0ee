"""The policy scan: what it skips has a reason. The scan itself runs in an environment of its own (`make terraform-scan`)."""

from pathlib import Path

import pytest
import terraform_scan


def test_every_skip_says_why() -> None:
    """No rule is silenced without a sentence in the block that needs it, and there are skips, so the pattern finds them."""
    assert terraform_scan.unexplained(terraform_scan.TERRAFORM) == []
    texts = [path.read_text(encoding="utf-8") for path in terraform_scan.TERRAFORM.rglob("*.tf")]
    assert sum(text.count("checkov:skip=") for text in texts) >= 5


@pytest.mark.parametrize(
    "skip", ["#checkov:skip=CKV_GCP_80", "#checkov:skip=CKV_GCP_80:", "#checkov:skip=CKV_GCP_80: not needed"]
)
def test_a_skip_without_a_reason_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skip: str) -> None:
    """Neither nothing nor two words are a reason."""
    monkeypatch.setattr(terraform_scan, "ROOT", tmp_path)
    (tmp_path / "main.tf").write_text(f'resource "a" "b" {{\n  {skip}\n}}\n', encoding="utf-8")
    assert terraform_scan.unexplained(tmp_path) == ["main.tf:2: CKV_GCP_80 is skipped without a reason"]


def test_rules_are_silenced_nowhere_else() -> None:
    """checkov is asked with no rule left out, and there is no file of settings for it."""
    script = (terraform_scan.ROOT / "scripts" / "terraform_scan.py").read_text(encoding="utf-8")
    assert "--skip-check" not in script
    assert list(terraform_scan.ROOT.glob("*checkov*")) == []
