"""Time of our MMM sampling against PyMC-Marketing's own default settings, on the same simulated 104 weeks × 4 channels.

Prints one JSON object. Each contender runs in its own process with its own compile cache, twice: ``*_cold_s`` is the first run
on a machine, ``*_s`` one that finds the cache (every weekly run after the first). Seconds are wall time from data to posterior
draws, compilation included, imports excluded; ``*_cpu_s`` is processor time, which a busy machine does not stretch.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from typing import Any

import numpy as np

from tasks.measure.mmm_config import MmmConfig
from tasks.measure.mmm_data import MmmInput

WEEKS, CHANNELS, SEED = 104, 4, 7


def simulated() -> MmmInput:
    """A small business: bursts of spend with carry-over and saturation, a season, a promotion, 3 % noise."""
    rng = np.random.default_rng(SEED)
    weeks = np.arange(WEEKS)
    season = 1 + np.sin(2 * np.pi * (weeks / 52 + rng.uniform(size=CHANNELS)[:, None])).T
    spend = rng.gamma(2.0, 60.0, (WEEKS, CHANNELS)) * season * (rng.uniform(size=(WEEKS, CHANNELS)) > 0.35)
    carried = spend.copy()
    for c, keep in enumerate((0.2, 0.4, 0.6, 0.3)):
        for t in range(1, WEEKS):
            carried[t, c] += keep * carried[t - 1, c]
    effect = np.array([700, 1100, 500, 900]) * np.tanh(carried / (2 * spend.max(axis=0)))
    promotion = np.maximum(rng.normal(size=WEEKS), 0)
    outcome = 5000 + 2 * weeks + 300 * np.cos(2 * np.pi * weeks / 52) + effect.sum(axis=1) + 40 * promotion
    outcome = outcome + rng.normal(0, 0.03 * outcome.mean(), WEEKS)
    periods = tuple(date(2022, 1, 3) + timedelta(weeks=int(week)) for week in weeks)
    names = tuple(f"channel_{c}" for c in range(CHANNELS))
    return MmmInput(
        "simulated", "revenue", "EUR", 7, periods, ("national",), names, spend[:, None], outcome[:, None], ("promotion",),
        promotion[:, None, None],
    )  # fmt: skip


def _import_libraries() -> None:
    """Import what either contender would otherwise import inside its measured time."""
    for name in ("arviz", "nutpie", "nutpie.compiled_pyfunc", "nutpie.sample", "pymc", "pymc_extras.prior", "pymc_marketing.mmm"):
        importlib.import_module(name)


def run_ours(data: MmmInput) -> dict[str, Any]:
    """Our configuration: low-rank adapted nutpie on one density that is compiled once, in coordinates without ridges."""
    _import_libraries()
    from tasks.measure.mmm_model import MmmSampler

    config = MmmConfig()
    started, cpu = time.perf_counter(), time.process_time()
    posterior = MmmSampler(data, config).sample(
        data, draws=config.draws, tune=config.tune, seed=SEED, label="bench", progress=None
    )
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {
        "s": seconds,
        "cpu_s": cpu,
        "r_hat_max": posterior.r_hat_max,
        "ess_min": posterior.ess_min,
        "divergences": posterior.divergences,
    }


def run_default(data: MmmInput) -> dict[str, Any]:
    """The library as it comes: its default priors, scaling and sampler settings, the same terms in the model."""
    _import_libraries()
    import pandas as pd
    from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation

    from tasks.measure.mmm_model import diagnose

    frame = pd.DataFrame({"date": pd.to_datetime(list(data.periods))})
    for c, name in enumerate(data.channels):
        frame[name] = data.spend[:, 0, c]
    frame["trend"] = np.linspace(0, 1, WEEKS)
    frame["promotion"] = data.controls[:, 0, 0] / data.controls.max()
    started, cpu = time.perf_counter(), time.process_time()
    mmm = MMM(
        date_column="date",
        channel_columns=list(data.channels),
        adstock=GeometricAdstock(l_max=8),
        saturation=LogisticSaturation(),
        control_columns=["trend", "promotion"],
        yearly_seasonality=2,
    )
    mmm.fit(frame, pd.Series(data.outcome[:, 0], name="y"), random_seed=SEED, progressbar=False)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    draws = mmm.idata["posterior"].to_dataset()
    values = {variable.name: draws[variable.name].to_numpy() for variable in mmm.model.free_RVs}
    r_hat, ess = diagnose(values)
    divergences = int(mmm.idata["sample_stats"]["diverging"].sum())
    return {"s": seconds, "cpu_s": cpu, "r_hat_max": r_hat, "ess_min": ess, "divergences": divergences}


CONTENDERS = {"ours": run_ours, "default": run_default}


def measure(name: str, cache: str) -> dict[str, Any]:
    """One run of ``name`` in a fresh process that keeps its compile cache in the folder ``cache``."""
    flags = ",".join(filter(None, [os.environ.get("PYTENSOR_FLAGS"), f"base_compiledir={cache}"]))
    done = subprocess.run(
        [sys.executable, __file__, "--contender", name],
        env=os.environ | {"PYTENSOR_FLAGS": flags},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Run both contenders and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contender", choices=sorted(CONTENDERS), help="run one contender in this process and print its figures")
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(CONTENDERS[arguments.contender](simulated())))
        return
    report: dict[str, Any] = {"bench": "mmm", "weeks": WEEKS, "channels": CHANNELS}
    for name in CONTENDERS:
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = measure(name, cache), measure(name, cache)
        report |= {f"{name}_cold_s": round(cold["s"], 2)} | {f"{name}_{key}": round(value, 4) for key, value in warm.items()}
        report[f"{name}_ess_per_s"] = round(warm["ess_min"] / warm["s"], 2)
    report["ratio_per_draw"] = round(report["default_ess_per_s"] / report["ours_ess_per_s"], 3)
    report["ratio_cpu"] = round(report["ours_cpu_s"] / report["default_cpu_s"], 3)
    report["ratio"] = round(report["ours_s"] / report["default_s"], 3)
    report["ratio_cold"] = round(report["ours_cold_s"] / report["default_cold_s"], 3)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
