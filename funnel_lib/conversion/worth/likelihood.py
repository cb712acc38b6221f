"""The maximum of a log-likelihood in a few parameters, and how sure its place is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from funnel_lib.conversion.worth.intervals import Floats

_FURTHEST = 12.0  # parameters are logarithms: beyond e^12 a model has lost a parameter


@dataclass(frozen=True)
class Fit:
    """Where the maximum lies, its value, and the covariance of the place (the inverse of the observed information)."""

    place: Floats
    value: float
    covariance: Floats

    def moved(self, log_likelihoods: Callable[[Floats], Floats]) -> Floats:
        """Return by how much each unit moves the place: its score times the covariance, one row per unit.

        The sum of their squares is the sandwich variance (White 1982), which holds also where the model is not quite
        true; rows of several fits of the same units can be added up, whatever they have to do with each other.

        Parameters
        ----------
        log_likelihoods : the units' own, of a place; their sum is what was maximised.
        """
        step = 1e-4 * np.eye(len(self.place))
        scores = [(log_likelihoods(self.place + way) - log_likelihoods(self.place - way)) / 2e-4 for way in step]
        return np.column_stack(scores) @ self.covariance


def maximum(log_likelihood: Callable[[Floats], float], start: Floats) -> Fit | None:
    """Return the maximum of a function of logarithms of parameters, None where there is none within reach.

    L-BFGS-B, then Nelder and Mead from there where it stopped early; the information by central differences.
    """
    from scipy.optimize import minimize

    def loss(place: Floats) -> float:
        value = log_likelihood(place)
        return -value if np.isfinite(value) else 1e300

    search: Any = minimize  # its types know no function of an array that gives a float
    bounds = [(-_FURTHEST, _FURTHEST)] * len(start)
    options = {"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7}
    found = search(loss, np.clip(start, -_FURTHEST, _FURTHEST), method="L-BFGS-B", bounds=bounds, options=options)
    closer = {"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000, "maxfev": 4000}
    found = search(loss, found.x, method="Nelder-Mead", bounds=bounds, options=closer)
    place = np.asarray(found.x, dtype=np.float64)
    if not found.success or not np.isfinite(found.fun) or (np.abs(place) > _FURTHEST - 0.5).any():
        return None
    covariance = _covariance(loss, place)
    return None if covariance is None else Fit(place, -float(found.fun), covariance)


def _covariance(loss: Callable[[Floats], float], place: Floats) -> Floats | None:
    """Return the inverse of the second derivatives, None where the maximum is flat in some direction."""
    size, step = len(place), 1e-3
    ways = np.eye(size) * step
    second = np.empty((size, size))
    for i in range(size):
        for j in range(i, size):
            corners = [
                loss(place + one * ways[i] + other * ways[j]) * one * other for one in (1, -1) for other in (1, -1)
            ]
            second[i, j] = second[j, i] = sum(corners) / (4 * step**2)
    values = np.linalg.eigvalsh(second)
    if not (values > 1e-4).all():  # a standard error of 100 in a logarithm says that the parameter is not known
        return None
    return np.asarray(np.linalg.inv(second), dtype=np.float64)
