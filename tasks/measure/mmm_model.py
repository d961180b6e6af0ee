"""The Bayesian marketing-mix model: a PyMC-Marketing ``MMM`` sampled by nutpie. Pure: arrays in, posterior out.

Model, on outcome and spend scaled to at most one (Jin et al. 2017; PyMC-Marketing's ``MMM``):

    y[t,g] ~ Normal(intercept[g] + Σ_c beta[c] · logistic(lam[c] · adstock(x[t,g,c]; alpha[c])) + Σ_k gamma[k] · z[t,g,k]
                    + yearly Fourier terms, sigma[g])

Regions share the shape of the response: spend is scaled by the region's own outcome scale, so that equal spend per unit of
outcome means equal saturation, and each region keeps its own intercept and noise. What moves all regions of a period together is
a shared shock u[t] ~ Normal(0, shock_sigma), integrated out; without it twenty regions count as twenty independent witnesses and
every interval is far too narrow. Without regions this is the ordinary model.

Lift tests, if there are any, are measurements of steps along the curves (``mmm_lift``).

How it is sampled, and why, with the figures: docs/decisions/0005-mmm-sampler.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import JobError
from tasks.measure import mmm_lift
from tasks.measure.mmm_config import MmmConfig
from tasks.measure.mmm_coordinates import Coordinates, spend_grid
from tasks.measure.mmm_data import MmmInput

Floats = NDArray[np.float64]
Progress = Callable[[str, float | None, int], None]  # what is sampled, share done, divergences

TREND, SHOCK = "trend", "shock_sigma"


@dataclass(frozen=True)
class Scales:
    """What one unit of the model is: ``target`` (G,) outcome units; ``channel`` (G, C), ``control`` (K,) in their own units."""

    target: Floats
    channel: Floats
    control: Floats
    trend_periods: int


@dataclass(frozen=True)
class Posterior:
    """Draws of the scaled parameters, each (draws, …) with chains laid end to end, and the sampler's own diagnosis.

    ``alpha``, ``lam``, ``beta`` (D, C); ``intercept``, ``sigma`` (D, G); ``shock`` (D,), zero without regions;
    ``gamma`` (D, 1 + K), the trend first; ``fourier`` (D, 2·pairs) in PyMC-Marketing's order: all sines, then all cosines.
    """

    alpha: Floats
    lam: Floats
    beta: Floats
    intercept: Floats
    sigma: Floats
    shock: Floats
    gamma: Floats
    fourier: Floats
    scales: Scales
    r_hat_max: float
    ess_min: float
    divergences: int
    seconds: float


def scales_of(data: MmmInput) -> Scales:
    """Largest outcome per geo; largest spend per unit of outcome scale, times that scale; largest control value."""
    target = data.outcome.max(axis=0)
    intensity = (data.spend / target[None, :, None]).max(axis=(0, 1))
    control = np.abs(data.controls).max(axis=(0, 1)) if data.control_names else np.zeros(0)
    return Scales(target, target[:, None] * intensity[None, :], control, len(data.periods))


def design_controls(data: MmmInput, scales: Scales) -> Floats:
    """(T, G, 1 + K): trend from 0 at the first to 1 at the last fitted period, then each control over its largest value."""
    trend = np.arange(len(data.periods)) / max(scales.trend_periods - 1, 1)
    trend = np.broadcast_to(trend[:, None, None], (*data.outcome.shape, 1))
    design: Floats = np.concatenate([trend, data.controls / scales.control], axis=2)
    return design


class MmmSampler:
    """A PyMC-Marketing model compiled once and sampled on any number of periods of the same channels, geos, controls, tests."""

    def __init__(self, data: MmmInput, config: MmmConfig) -> None:
        self.config = config
        self.has_geos = len(data.geos) > 1
        self.mmm = build_mmm(data, config)
        self._variables = _free_variables(self.mmm.model)
        self._coordinates = _coordinates(self._variables, data)
        self._logp = _compile_logp(self.mmm.model, self._coordinates)
        # numba compiles at the first call: here, where the caller says so, and not in the middle of sampling.
        self._logp(self._start())

    def sample(self, data: MmmInput, *, draws: int, tune: int, seed: int, label: str, progress: Progress | None) -> Posterior:
        """Posterior given ``data``; ``progress`` is called every few seconds. JobError if the density has no finite start."""
        from nutpie.compiled_pyfunc import from_pyfunc
        from nutpie.sample import sample

        started = time.perf_counter()
        scales = scales_of(data)
        set_data(self.mmm, data, scales)
        start = self._start()
        size = len(start)
        function = self._logp
        value, gradient = function(start)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise JobError(
                f"the model's log density is {float(value)} at its starting point; look for extreme values in the input"
            )

        def make_logp() -> Callable[[Floats], tuple[float, Floats]]:
            def logp(point: Floats) -> tuple[float, Floats]:
                result, slope = function(point)
                return float(result), slope

            return logp

        compiled = from_pyfunc(
            size,
            make_logp,
            lambda _seed1, _seed2, _chain: lambda point: {"point": point},
            [np.dtype("float64")],
            [(size,)],
            ["point"],
            make_initial_point_fn=self._starts,
        )
        trace = sample(
            compiled,
            draws=draws,
            tune=tune,
            chains=self.config.chains,
            cores=1,  # the density is called through Python: a second thread only waits for the interpreter lock
            seed=seed,
            adaptation="low_rank",
            target_accept=self.config.target_accept,
            save_warmup=False,
            progress_bar=False,
            progress_rate=3000,
            progress_callback=_report(label, progress),
        )
        return self._posterior(trace, scales, started)

    def _starts(self, chain_seed: int) -> Floats:
        """A start of a chain: one unit around the model's own in each of PyMC's unconstrained parameters."""
        point = self._coordinates.to_model(self._start())
        return self._coordinates.from_model(point + np.random.default_rng(chain_seed).uniform(-1, 1, len(point)))

    def _start(self) -> Floats:
        point = self.mmm.model.initial_point(0)
        return self._coordinates.from_model(np.concatenate([np.ravel(point[name]) for name, *_ in self._variables]))

    def _posterior(self, trace: Any, scales: Scales, started: float) -> Posterior:
        points = self._coordinates.to_model(trace["posterior"]["point"].to_numpy())  # (chain, draw, size)
        values: dict[str, Floats] = {}
        at = 0
        for _value_name, name, shape, backward in self._variables:
            size = int(np.prod(shape, dtype=int))
            block = points[..., at : at + size].reshape(*points.shape[:2], *shape)
            at += size
            values[name] = backward(block)
        r_hat, ess = diagnose(values)

        def flat(name: str, width: int) -> Floats:
            result: Floats = values[name].reshape(points.shape[0] * points.shape[1], width)
            return result

        channels, geos = scales.channel.shape[1], len(scales.target)
        return Posterior(
            alpha=flat("adstock_alpha", channels),
            lam=flat("saturation_lam", channels),
            beta=flat("saturation_beta", channels),
            intercept=flat("intercept_contribution", geos),
            sigma=flat("y_sigma", geos),
            shock=flat(SHOCK, 1)[:, 0] if self.has_geos else np.zeros(points.shape[0] * points.shape[1]),
            gamma=flat("gamma_control", 1 + len(scales.control)),
            fourier=flat("gamma_fourier", 2 * self.config.fourier_pairs),
            scales=scales,
            r_hat_max=r_hat,
            ess_min=ess,
            divergences=int(trace["sample_stats"]["diverging"].sum()),
            seconds=time.perf_counter() - started,
        )


def build_mmm(data: MmmInput, config: MmmConfig) -> Any:
    """The PyMC-Marketing ``MMM`` of this configuration with ``data`` and its lift tests in place."""
    import pandas as pd
    import xarray as xr
    from pymc_extras.prior import Prior  # type: ignore[import-untyped]  # ships no types
    from pymc_marketing.mmm import MMM, FixedScaling, GeometricAdstock, LogisticSaturation, Scaling

    geos = len(data.geos) > 1
    scales = scales_of(data)
    alpha, lam = config.alpha_prior, config.lam_prior
    per_geo: dict[str, Any] = {"dims": "geo"} if geos else {}
    mmm = MMM(
        date_column="date",
        channel_columns=list(data.channels),
        target_column="y",
        adstock=GeometricAdstock(
            l_max=config.l_max, normalize=True, priors={"alpha": Prior("Beta", alpha=alpha[0], beta=alpha[1], dims="channel")}
        ),
        saturation=LogisticSaturation(
            priors={
                "lam": Prior("Gamma", alpha=lam[0], beta=lam[1], dims="channel"),
                "beta": Prior("HalfNormal", sigma=config.beta_sigma(len(data.channels)), dims="channel"),
            }
        ),
        dims=("geo",) if geos else None,
        control_columns=[TREND, *data.control_names],
        yearly_seasonality=config.fourier_pairs,
        scaling=Scaling(
            target=FixedScaling(dims=(), value=_named(xr, scales.target, {"geo": data.geos}, geos)),
            channel=FixedScaling(dims=(), value=_named(xr, scales.channel, {"geo": data.geos, "channel": data.channels}, geos)),
        ),
        model_config={
            "intercept": Prior("Normal", mu=config.intercept_prior[0], sigma=config.intercept_prior[1], **per_geo),
            "likelihood": Prior(
                "Normal",
                sigma=Prior("HalfNormal", sigma=config.noise_prior_sigma, **per_geo),
                dims=("date", "geo") if geos else "date",
            ),
            "gamma_control": Prior("Normal", mu=0, sigma=config.control_prior_sigma, dims="control"),
            "gamma_fourier": Prior("Laplace", mu=0, b=config.fourier_prior_b, dims="fourier_mode"),
        },
    )
    frame = pd.DataFrame({"date": np.repeat(pd.to_datetime(list(data.periods)), len(data.geos))})
    if geos:
        frame["geo"] = np.tile(data.geos, len(data.periods))
    for c, channel in enumerate(data.channels):
        frame[channel] = data.spend[..., c].ravel()
    design = design_controls(data, scales)
    for k, name in enumerate((TREND, *data.control_names)):
        frame[name] = design[..., k].ravel()
    mmm.build_model(frame, pd.Series(data.outcome.ravel(), name="y"))
    if geos:
        _add_shared_shock(mmm.model, config.shock_prior_sigma)
    if data.lift_tests:
        mmm_lift.add_to(mmm.model, data, scales)
    return mmm


def _add_shared_shock(model: Any, prior_sigma: float) -> None:
    """Add a shock that all regions of a period share, in units of their outcome scales, integrated out exactly.

    The covariance of a period is diag(sigma²) + shock²·11ᵀ; by the Sherman–Morrison formula its log density is the sum of the
    independent ones and the term below.
    """
    import pymc as pm
    import pymc.dims as pmd

    with model:
        shock = pmd.HalfNormal(SHOCK, sigma=prior_sigma)
        precision = model["y_sigma"] ** -2
        weighted = ((model["target_data"] / model["target_scale"] - model["mu"]) * precision).sum("geo")
        grown = 1 + shock**2 * precision.sum("geo")
        term = (shock * weighted) ** 2 / grown - pmd.math.log(grown)
        pm.Potential("shared_shock", term.sum().values / 2)


def _named(xr: Any, values: Floats, axes: Mapping[str, tuple[str, ...]], geos: bool) -> Any:
    coords = dict(axes)
    if not geos:
        values = values[0]
        coords.pop("geo")
    return (
        xr.DataArray(values, dims=tuple(coords), coords={name: list(labels) for name, labels in coords.items()})
        if coords
        else float(values)
    )


def set_data(mmm: Any, data: MmmInput, scales: Scales) -> None:
    """Put ``data`` into a model built for the same channels, geos, controls and lift tests; nothing is compiled again."""
    import pandas as pd
    import pymc as pm

    days = pd.to_datetime(list(data.periods))
    controls = design_controls(data, scales)
    national = len(data.geos) == 1
    arrays: dict[str, tuple[Floats, tuple[str, ...]]] = {
        "channel_data": (data.spend, ("date", "geo", "channel")),
        "target_data": (data.outcome, ("date", "geo")),
        "control_data": (controls, ("date", "geo", "control")),
        "channel_scale": (scales.channel, ("geo", "channel")),
        "target_scale": (scales.target, ("geo",)),
        "dayofyear": (days.day_of_year.to_numpy(), ("date",)),
    }
    values = {}
    for name, (array, dims) in arrays.items():
        if national and "geo" in dims:
            array = np.take(array, 0, axis=dims.index("geo"))
            dims = tuple(dim for dim in dims if dim != "geo")
        wanted = mmm.model[name].type.dims if hasattr(mmm.model[name].type, "dims") else dims
        values[name] = np.transpose(array, [dims.index(dim) for dim in wanted]).astype(mmm.model[name].type.dtype)
    if data.lift_tests:
        values |= mmm_lift.arrays(data, scales)
    with mmm.model:
        pm.set_data(values, coords={"date": days})


def _free_variables(model: Any) -> list[tuple[str, str, tuple[int, ...], Callable[[Floats], Floats]]]:
    """(value name, name, shape, map from the unconstrained value) of each free variable, in the order of the density's input."""
    point = model.initial_point(0)
    variables = []
    for variable in model.free_RVs:
        value_name = model.rvs_to_values[variable].name
        suffix = value_name.removeprefix(variable.name)
        if suffix not in _BACKWARD:
            raise JobError(
                f"free variable {variable.name} has the transform {suffix!r}, which mmm_model cannot map back; add it there"
            )
        variables.append((value_name, variable.name, np.shape(point[value_name]), _BACKWARD[suffix]))
    return variables


def _coordinates(variables: list[tuple[str, str, tuple[int, ...], Callable[[Floats], Floats]]], data: MmmInput) -> Coordinates:
    at, where = 0, {}
    for _value_name, name, shape, _backward in variables:
        size = int(np.prod(shape, dtype=int))
        where[name] = slice(at, at + size)
        at += size
    grid = spend_grid(data.spend / scales_of(data).channel)
    return Coordinates(where["intercept_contribution"], where["saturation_beta"], where["saturation_lam"], grid)


# PyMC names the unconstrained value of a variable by its transform.
_BACKWARD: dict[str, Callable[[Floats], Floats]] = {
    "": lambda value: value,
    "_log__": np.exp,
    "_logodds__": lambda value: 1 / (1 + np.exp(-value)),
}


def _compile_logp(model: Any, coordinates: Coordinates) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Log density and gradient of the model as one function of the flat point in ``coordinates``.

    Data stay shared variables, so pytensor's numba cache on disk serves every later fit of the same structure whatever its data.
    """
    import pytensor
    from pymc.pytensorf import join_nonshared_inputs
    from pytensor.graph.rewriting.utils import rewrite_graph

    point = model.initial_point(0)
    values = [model.rvs_to_values[variable] for variable in model.free_RVs]
    [density], flat = join_nonshared_inputs(point, [model.logp(jacobian=True)], values)
    density, flat = coordinates.density(density, flat)
    # PyMC lowers the named dimensions of variables only; a potential still holds operations without a gradient.
    density = rewrite_graph(density, include=("lower_xtensor",), clone=True)
    compiled: Callable[[Floats], tuple[Floats, Floats]] = pytensor.function(
        [pytensor.In(flat, borrow=True)], [density, pytensor.grad(density, flat)], mode="NUMBA", trust_input=True
    )
    return compiled


def diagnose(values: Mapping[str, Floats]) -> tuple[float, float]:
    """Largest rank-normalised split R-hat and smallest bulk ESS (Vehtari et al. 2021) over all scalar parameters.

    ``values`` maps names to (chain, draw, …) arrays.
    """
    import arviz as az
    import xarray as xr

    dataset = xr.Dataset(
        {name: (("chain", "draw", *(f"{name}_{i}" for i in range(array.ndim - 2))), array) for name, array in values.items()}
    )
    r_hat, ess = az.rhat(dataset), az.ess(dataset)
    return (
        float(max(np.max(r_hat[name].to_numpy()) for name in values)),
        float(min(np.min(ess[name].to_numpy()) for name in values)),
    )


def _report(label: str, progress: Progress | None) -> Callable[[list[Any]], None] | None:
    if progress is None:
        return None

    def callback(chains: list[Any]) -> None:
        total = sum(chain.total_draws for chain in chains)
        done = sum(chain.finished_draws for chain in chains)
        progress(label, done / total if total else 0.0, sum(chain.divergences for chain in chains))

    return callback
