"""How much time a host needs tonight, learnt from what its work and its ring's took before.

Standard library only, and pure. What is learnt is a *pace*: seconds that a piece of work took, divided by what the
job's own figures (`Defaults`) say of it. A pace is taken to be log-normal, and to differ by host and by night:

    log(pace of a host on one night) = centre of the ring + the host's own part + the night's part

Host and ring are weighed by how much each is known: the host's mean is shrunk towards its ring's (normal means with a
normal prior), and its variance towards the ring's pooled one, which gives "moderated" degrees of freedom: G. Smyth,
*Linear models and empirical Bayes methods*, Stat. Appl. Genet. Mol. Biol. 3(1), 2004. The wanted quantile is that of
one future run, by Student's t with a spread that holds the uncertainty of mean and variance (the prediction limit of
Hahn and Meeker, *Statistical Intervals*, 1991, chapter 4): with three runs it lies well above the longest of them, and
comes down as runs are added. The p95 of three runs read off as their maximum would be exceeded every fourth time.

Runs far from the host's median are pulled in before (winsorised), so that one that hung does not count for months. The
job's own figures count as one host of each ring. So one host that lies, or a clock that jumped, moves others little;
and no history moves a need below a fifth or above ten times of what the job's figures say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import NormalDist, fmean, median
from typing import Protocol

QUANTILE = 0.95
LEAST, MOST = 0.2, 10.0
"""Bounds of a host's need, as multiples of what the job's figures say."""
LONGEST_LOAD = 3.0

_WITHIN, _WITHIN_WEIGHT = 0.4, 6
"""Guesses until there is history: the spread (of logarithms) of one host's nights, and the runs that this is worth."""
_BETWEEN, _BETWEEN_WEIGHT = 0.7, 4
"""The same of hosts among each other."""
_RING_WEIGHT = 20
"""How many runs of a host weigh as much as its ring, for the spread of its nights."""
_PULLED_IN = 2.5
_OWN_RUNS, _RING_RUNS, _RING_HOSTS = 20, 8, 64
_PACE_BOUND = math.log(20)
_ENOUGH_FOR_LOAD, _LOAD_WEIGHT = 5, 4
_WEEK = 7 * 86400.0
_ENDLESS = 1e15


@dataclass(frozen=True)
class Work:
    """A piece of work that is to be done, or was. `seconds` is known beforehand for work that only lasts, else None;
    given, it stands for packages and megabytes."""

    seconds: float | None
    packages: int = 0
    megabytes: float = 0.0
    reboot: bool = False


@dataclass(frozen=True)
class Sample:
    """One finished piece of work: `seconds` as the controller measured it, reboot included.

    `reboot_seconds` is the reboot's part, 0 where there was none or it is not known.
    """

    host: str
    planned: Work
    seconds: float
    reboot_seconds: float = 0.0


class Figures(Protocol):
    """A job's own figures, in seconds: what is used where nothing is known, and the shape that history scales."""

    @property
    def fixed(self) -> float: ...
    @property
    def per_package(self) -> float: ...
    @property
    def per_megabyte(self) -> float: ...
    @property
    def reboot(self) -> float: ...
    @property
    def rollback(self) -> float: ...


@dataclass(frozen=True)
class Defaults:
    """A job's own figures. They are to be cautious ones, and right within a factor of five."""

    fixed: float
    per_package: float
    per_megabyte: float
    reboot: float
    rollback: float


@dataclass(frozen=True)
class Need:
    """Seconds that a host needs, and those that are kept besides for taking its work back."""

    seconds: float
    reserve: float
    basis: str
    """`host's own history (12 runs)`, `ring's history (40 runs)` or `job's default`."""
    typical: float = 0.0
    """The median without tonight's load: what `load_factor` is to be given as expected."""


def needed(work: Work, own: Sequence[Sample], ring: Sequence[Sample], defaults: Figures, load: float) -> Need:
    """What this work needs on a host.

    Never raises for what history holds, and is finite and not negative whatever that is; more work never needs less.

    :param own: the host's finished work in the order of time; the last 20 count.
    :param ring: that of all hosts of its ring (the host's own may be among them); of 64 hosts the last eight each.
    :param load: from `load_factor`, 1 to 3.
    """
    return estimate(work, own, pool(ring, defaults), defaults).need(load)


@dataclass(frozen=True)
class Estimate:
    """What is known of one host and its work before the load of tonight. For many hosts of a ring, with one `pool`."""

    nominal: float
    """What the job's figures say, in seconds."""
    pace: Pace
    rollback: float

    def need(self, load: float, quantile: float = QUANTILE) -> Need:
        """The time to be kept free, so that it is exceeded with a probability of 1 - quantile."""
        slower = min(load, LONGEST_LOAD) if load > 1.0 else 1.0
        return Need(
            seconds=self.nominal * self.pace.at(quantile) * slower,
            reserve=self.rollback * max(1.0, self.pace.typical) * slower,
            basis=self.pace.basis,
            typical=self.nominal * self.pace.typical,
        )


def estimate(work: Work, own: Sequence[Sample], ring: Pool, defaults: Figures) -> Estimate:
    """As `needed`, with the ring's history pooled before."""
    own = [sample for sample in own[-_OWN_RUNS:] if _positive(sample.seconds)]
    nominal = _nominal(work, defaults, _reboot_seconds(own, defaults))
    return Estimate(nominal, pace(own, ring, defaults), _amount(defaults.rollback))


def load_factor(finished: Sequence[tuple[float, float]]) -> float:
    """How much slower this run's hosts are than they usually are: 1 to 3.

    The mean of the logarithms of actual/expected, those far out pulled in, shrunk towards 1 as if four more hosts had
    taken their usual time; 1.0 with fewer than five hosts. Those that are still at work are not in it, so it is rather
    too low than too high.

    :param finished: seconds expected (`Need.typical`: without a quantile's margin and without load) and actual.
    """
    logs = [_log_ratio(actual, expected) for expected, actual in finished if _positive(expected) and _positive(actual)]
    if len(logs) < _ENOUGH_FOR_LOAD:
        return 1.0
    mean = fmean(_pulled_in(logs, _PULLED_IN * _spread(logs, _WITHIN)))
    return min(max(math.exp(mean * len(logs) / (len(logs) + _LOAD_WEIGHT)), 1.0), LONGEST_LOAD)


@dataclass(frozen=True)
class Pool:
    """What a ring's hosts tell of a host that nothing is known of. Of logarithms of paces."""

    centre: float
    within: float
    """Variance of one host's nights, worth `within_weight` runs."""
    within_weight: float
    between: float
    """Variance of the hosts' means."""
    hosts: int
    runs: int


@dataclass(frozen=True)
class Pace:
    """How fast a host's next run will be, as a multiple of the job's figures."""

    mean: float
    spread: float
    freedom: float
    basis: str

    @property
    def typical(self) -> float:
        """The median."""
        return min(max(math.exp(self.mean), LEAST), MOST)

    def at(self, quantile: float) -> float:
        """The pace that one future run exceeds with the probability 1 - quantile; bounded."""
        return min(max(math.exp(self.mean + student(quantile, self.freedom) * self.spread), LEAST), MOST)


def pool(ring: Sequence[Sample], defaults: Figures) -> Pool:
    """What a ring's history tells; hosts count alike, however often each was worked on."""
    by_host: dict[str, list[Sample]] = {}
    for sample in ring:
        by_host.setdefault(sample.host, []).append(sample)
    step = max(1, math.ceil(len(by_host) / _RING_HOSTS))
    paces: list[list[float]] = []
    for samples in islice(by_host.values(), 0, None, step):
        sound = [sample for sample in samples[-_RING_RUNS:] if _positive(sample.seconds)]
        paces.append([_log_pace(sample, defaults, defaults.reboot) for sample in sound])
    paces = [logs for logs in paces if logs]
    width = _PULLED_IN * _spread([one - median(logs) for logs in paces if len(logs) > 2 for one in logs], _WITHIN)
    tamed = [_pulled_in(logs, width) for logs in paces]
    means = [fmean(logs) for logs in tamed]
    more = sum(len(logs) - 1 for logs in tamed)
    squares = sum((one - mean) ** 2 for logs, mean in zip(tamed, means, strict=True) for one in logs)
    within = (_WITHIN_WEIGHT * _WITHIN**2 + squares) / (_WITHIN_WEIGHT + more)
    # The job's own figures are one host more: pace 1, logarithm 0.
    hosts = _pulled_in([*means, 0.0], _PULLED_IN * _spread([*means, 0.0], _BETWEEN))
    centre = fmean(hosts)
    noise = within * fmean([1 / len(logs) for logs in tamed]) if tamed else 0.0
    variance = max(0.0, sum((one - centre) ** 2 for one in hosts) / max(1, len(means)) - noise)
    between = (_BETWEEN_WEIGHT * _BETWEEN**2 + len(means) * variance) / (_BETWEEN_WEIGHT + len(means))
    return Pool(centre, within, _WITHIN_WEIGHT + more, between, len(means), sum(map(len, paces)))


def pace(own: Sequence[Sample], ring: Pool, defaults: Figures) -> Pace:
    """A host's pace, from its own history as far as there is one, and its ring's."""
    reboot = _reboot_seconds(own, defaults)
    logs = [_log_pace(sample, defaults, reboot) for sample in own if _positive(sample.seconds)]
    if not logs and not ring.runs:
        return Pace(0.0, 0.0, _WITHIN_WEIGHT, "job's default")
    if not logs:
        spread = math.sqrt(ring.within + ring.between * (1 + 1 / ring.hosts))
        return Pace(ring.centre, spread, ring.hosts - 1 + _BETWEEN_WEIGHT, f"ring's history ({_runs(ring.runs)})")
    # The middle of one or two runs is no safe one: the ring's counts with them.
    middle = median(logs) if len(logs) > 2 else median([*logs, ring.centre])
    width = _PULLED_IN * math.sqrt(ring.within + (ring.between if len(logs) < 3 else 0.0))
    logs = [min(max(one, middle - width), middle + width) for one in logs]
    mean, weight = fmean(logs), min(ring.within_weight, _RING_WEIGHT)
    squares = sum((one - mean) ** 2 for one in logs)
    freedom = weight + len(logs) - 1
    within = (weight * ring.within + squares) / freedom
    precision = len(logs) / within + 1 / ring.between
    shrunk = (mean * len(logs) / within + ring.centre / ring.between) / precision
    return Pace(shrunk, math.sqrt(within + 1 / precision), freedom, f"host's own history ({_runs(len(logs))})")


def student(quantile: float, freedom: float) -> float:
    """The quantile of Student's t, by the expansion 26.7.5 of Abramowitz and Stegun: within 0.1 % from 4 degrees on
    for quantiles from 0.05 to 0.95, within 2 % up to 0.99."""
    z = NormalDist().inv_cdf(quantile)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def _nominal(work: Work, defaults: Figures, reboot: float) -> float:
    """What the job's figures say of some work, in seconds; at least one."""
    if work.seconds is not None and not math.isnan(work.seconds):
        effort = _amount(work.seconds)
    else:
        effort = _amount(defaults.fixed) + _amount(defaults.per_package) * _amount(work.packages)
        effort += _amount(defaults.per_megabyte) * _amount(work.megabytes)
    return min(max(effort + (_amount(reboot) if work.reboot else 0.0), 1.0), _WEEK)


def _reboot_seconds(own: Sequence[Sample], defaults: Figures) -> float:
    """What a reboot of this host takes: the middle of those measured, within bounds, else the job's figure."""
    known = _amount(defaults.reboot)
    measured = [sample.reboot_seconds for sample in own if _positive(sample.reboot_seconds)]
    return min(max(median(measured), LEAST * known), MOST * known) if measured else known


def _log_pace(sample: Sample, defaults: Figures, reboot: float) -> float:
    return _log_ratio(sample.seconds, _nominal(sample.planned, defaults, reboot))


def _log_ratio(actual: float, expected: float) -> float:
    return min(max(math.log(actual) - math.log(expected), -_PACE_BOUND), _PACE_BOUND)


def _spread(values: Sequence[float], least: float) -> float:
    """A spread that outliers don't move: 1.4826 times the median of absolute deviations, or the least if larger."""
    if not values:
        return least
    middle = median(values)
    return max(least, 1.4826 * median([abs(one - middle) for one in values]))


def _pulled_in(values: Sequence[float], width: float) -> list[float]:
    middle = median(values)
    return [min(max(one, middle - width), middle + width) for one in values]


def _positive(value: float) -> bool:
    """Whether it can be the seconds of something: not NaN, not infinite."""
    return 0 < value < _ENDLESS


def _amount(value: float) -> float:
    """A number that can be calculated with: from 0 (also for NaN) to a week's seconds."""
    return min(value, _WEEK) if value > 0 else 0.0


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
