"""What a person sees while a model compiles and samples, and priors that do not depend on the number of channels."""

import threading

import numpy as np
import pytest
import structlog

from tasks.measure import fit_mmm, mmm_fit
from tasks.measure.mmm_config import MmmConfig


def test_compiling_is_reported_at_once_and_goes_on_being_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cold compile takes half a minute: the first line comes before it, more come during it, none after it."""
    monkeypatch.setattr(mmm_fit, "_BEAT_S", 0.01)
    seen: list[tuple[str, float | None]] = []
    third = threading.Event()

    def progress(label: str, share: float | None, _divergences: int) -> None:
        seen.append((label, share))
        if len(seen) == 3:
            third.set()

    with mmm_fit._beating("compiling the model", progress):
        assert third.wait(600)
    count = len(seen)
    assert set(seen) == {("compiling the model", None)}
    assert threading.Event().wait(0.05) is False
    assert len(seen) == count


def test_an_error_while_compiling_ends_the_reports() -> None:
    """The thread that reports never outlives the work."""
    with pytest.raises(ZeroDivisionError), mmm_fit._beating("compiling the model", lambda *_: None):
        raise ZeroDivisionError
    assert "progress" not in [thread.name for thread in threading.enumerate()]


def test_progress_is_a_line_for_each_part_and_one_every_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new part is logged at once, the same part not again before three seconds are over."""
    clock = iter([0.0, 0.0, 1.0, 3.0, 3.1, 4.0, 4.5])
    monkeypatch.setattr(fit_mmm.time, "monotonic", lambda: next(clock))
    with structlog.testing.capture_logs() as logs:
        report = fit_mmm._progress()
        for label, share in (("compiling", None), ("compiling", None), ("compiling", None), ("main fit", 0.0), ("main fit", 0.2)):
            report(label, share, 1)
    assert [(line["event"], line.get("seconds"), line.get("done")) for line in logs] == [
        ("compiling", 0, None),
        ("compiling", 3, None),
        ("sampling", None, "0%"),
    ]


@pytest.mark.parametrize("channels", [1, 4, 9])
def test_the_prior_of_all_media_together_does_not_grow_with_the_channels(channels: int) -> None:
    """Independent effects add their variances: σ/√C each keeps the spread of the sum."""
    config = MmmConfig()
    assert np.sqrt(channels * config.beta_sigma(channels) ** 2) == pytest.approx(config.beta_prior_sigma)
