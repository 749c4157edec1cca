"""Simulated nights: do hosts that the gate starts end within the window, and does it start nearly all that it could?

The oracle works in the same order, with the same batches and the same reserve, and knows how long each host will
really take. A few hundred nights run with the unit tests; `python -m tests.gate_nights --nights 10000 --seed 1` prints
the whole curve.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from civicops.gate.need import (
    LONGEST_LOAD,
    QUANTILE,
    Defaults,
    Estimate,
    Need,
    Sample,
    Work,
    estimate,
    load_factor,
    pool,
)

FIGURES = Defaults(fixed=180, per_package=3, per_megabyte=0.5, reboot=150, rollback=120)
QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.975, 0.99)
MOST_OVERRUNS, LEAST_STARTS = 0.003, 0.95
SIGMA, STRAGGLERS, STRAGGLING = 0.35, 0.01, 5.0
_RINGS = (("canary", 0.03, 1), ("early", 0.12, 5), ("broad", 0.7, 10), ("last", 0.15, 5))
"""Name, share of the town's hosts, and hosts per batch."""


@dataclass
class Host:
    """A host tonight. `actual` is what its work will really take, which only the oracle knows."""

    estimate: Estimate
    actual: float
    straggles: bool
    """It takes five times as long as it would have."""


@dataclass(frozen=True)
class Night:
    """A window's length in seconds and the batches in their order; a batch ends when its slowest host does."""

    window: float
    batches: list[list[Host]]


@dataclass
class Count:
    """What came of some nights."""

    started: int = 0
    overran: int = 0
    """Ended after the window."""
    straggled: int = 0
    """Of those that overran, the ones that took five times as long as they would have."""
    in_reserve: int = 0
    """Ended in the time that was kept for taking it back."""

    def __iadd__(self, other: Count) -> Count:
        self.started += other.started
        self.overran += other.overran
        self.straggled += other.straggled
        self.in_reserve += other.in_reserve
        return self

    @property
    def overruns(self) -> float:
        return self.overran / max(1, self.started)


@dataclass
class Tally:
    """The counts of one kind of nights."""

    nights: int = 0
    asked: int = 0
    oracle: Count = field(default_factory=Count)
    gate: dict[float, Count] = field(default_factory=lambda: {quantile: Count() for quantile in QUANTILES})

    def starts(self, quantile: float) -> float:
        """Hosts started, as a part of the oracle's."""
        return self.gate[quantile].started / max(1, self.oracle.started)

    def __iadd__(self, other: Tally) -> Tally:
        self.nights += other.nights
        self.asked += other.asked
        self.oracle += other.oracle
        for quantile, count in other.gate.items():
            self.gate[quantile] += count
        return self


Past = Sequence[list[float]]
"""Real durations in seconds, by host."""


def read_durations(directory: Path | None) -> Past:
    """Real durations, from `durations-*.csv` with the columns host and seconds; hosts with fewer than six are left."""
    by_host: dict[str, list[float]] = {}
    for path in sorted(directory.glob("durations-*.csv")) if directory else ():
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                by_host.setdefault(f"{path.name} {row['host']}", []).append(float(row["seconds"]))
    return [seconds for seconds in by_host.values() if len(seconds) >= 6]


def draw(seed: int, count: int, *, slow: bool = False, real: Past = ()) -> Iterator[Night]:
    """Nights of different towns.

    The job's figures are wrong for each town by some factor (sigma 0.4), in how a package weighs against the rest
    (0.3), and for each host (0.5). A host's night is log-normal around its median (0.35), and one in a hundred takes
    five times as long, in the past too. 15 % of hosts have no past, 0.5 % of past times are broken.

    :param slow: one night in five has a load of 1.3 to 2 on all of its hosts, which nobody is told.
    """
    for number in range(count):
        yield _night(random.Random(f"{seed} {number}"), slow, real)  # noqa: S311  not for secrets


def _night(dice: random.Random, slow: bool, real: Past) -> Night:
    town, packages = math.exp(dice.gauss(0, 0.4)), math.exp(dice.gauss(0, 0.3))
    load = dice.uniform(1.3, 2.0) if slow and dice.random() < 0.2 else 1.0
    size = dice.randint(20, 120)
    batches: list[list[Host]] = []
    for ring, share, together in _RINGS:
        drawn = [_past(dice, f"{ring}{number}", town, packages, real) for number in range(max(1, round(size * share)))]
        pooled = pool([sample for past, *_ in drawn for sample in past], FIGURES)
        hosts = [Host(estimate(work, past, pooled, FIGURES), actual * load, hung) for past, work, actual, hung in drawn]
        batches += [hosts[first : first + together] for first in range(0, len(hosts), together)]
    return Night(dice.choice((2, 3, 4, 4, 4, 6)) * 3600.0, batches)


def _past(
    dice: random.Random, name: str, town: float, packages: float, real: Past
) -> tuple[list[Sample], Work, float, bool]:
    """A host's past, tonight's work, what that will take, and whether it straggles."""
    if real and dice.random() < 0.5:
        seconds = dice.choice(real)
        last = dice.randrange(5, len(seconds))
        return [Sample(name, Work(None), one) for one in seconds[:last]], Work(None), seconds[last], False
    own = town * math.exp(dice.gauss(0, 0.5))
    runs = 0 if dice.random() < 0.15 else dice.randint(1, 24)
    done = [(work := _work(dice), *_seconds(dice, work, own, packages)) for _ in range(runs + 1)]
    broken = (0.0, math.nan, 365 * 86400.0)
    past = [
        Sample(name, work, seconds if dice.random() > 0.005 else dice.choice(broken)) for work, seconds, _ in done[:-1]
    ]
    return past, *done[-1]


def _work(dice: random.Random) -> Work:
    packages = round(math.exp(dice.gauss(math.log(15), 0.8)))
    return Work(None, packages, packages * dice.uniform(0.3, 2.0), dice.random() < 0.6)


def _seconds(dice: random.Random, work: Work, own: float, packages: float) -> tuple[float, bool]:
    effort = FIGURES.fixed + packages * (FIGURES.per_package * work.packages + FIGURES.per_megabyte * work.megabytes)
    middle = own * (effort + (FIGURES.reboot if work.reboot else 0.0))
    straggles = dice.random() < STRAGGLERS
    return middle * math.exp(dice.gauss(0, SIGMA)) * (STRAGGLING if straggles else 1.0), straggles


def play(night: Night, need: Callable[[Host, float], Need]) -> Count:
    """Go through a night's batches: each is asked for at once, when the one before has ended."""
    count, clock, finished = Count(), 0.0, list[tuple[float, float]]()
    for batch in night.batches:
        left = night.window - clock
        worst = max(batch, key=lambda host: host.estimate.need(LONGEST_LOAD, max(QUANTILES)).seconds)
        most = worst.estimate.need(LONGEST_LOAD, max(QUANTILES))
        load = load_factor(finished) if most.seconds + most.reserve > left else 1.0  # else it changes nothing
        needs = [(host, need(host, load)) for host in batch]
        started = [(host, one) for host, one in needs if one.seconds + one.reserve <= left]
        count.started += len(started)
        count.overran += sum(host.actual > left for host, _ in started)
        count.straggled += sum(host.actual > left and host.straggles for host, _ in started)
        count.in_reserve += sum(left - one.reserve < host.actual <= left for host, one in started)
        finished += [(one.typical, host.actual) for host, one in started]
        clock += max((host.actual for host, _ in started), default=0.0)
    return count


def tally(drawn: Iterator[Night]) -> tuple[Tally, Tally]:
    """All nights, and of them those that were too short for all hosts even to the oracle."""
    every, full = Tally(), Tally()
    for night in drawn:
        asked = sum(map(len, night.batches))
        one = Tally(1, asked, play(night, _oracle))
        for quantile in QUANTILES:
            one.gate[quantile] = play(night, lambda host, load, q=quantile: host.estimate.need(load, q))  # type: ignore[misc]
        every += one
        if one.oracle.started < asked:
            full += one
    return every, full


def _oracle(host: Host, load: float) -> Need:
    known = host.estimate.need(load)
    return Need(host.actual, known.reserve, "the truth", known.typical)


def campaign(seed: int, nights: int, durations: Path | None = None) -> tuple[list[str], list[str]]:
    """Lines of Markdown with the curve, and the promises that were broken."""
    real = read_durations(durations)
    every, full = tally(draw(seed, nights, real=real))
    slow, _ = tally(draw(seed + 1, nights // 5, slow=True, real=real))
    lines = [
        f"{every.nights:,} nights of towns with 20 to 120 hosts (seed {seed}), {every.asked:,} hosts asked for"
        + (f", half of them with real durations of {len(real)} hosts" if real else "")
        + "; for each quantile that "
        "the gate could keep free, the hosts started, and the parts of them that ended after the window (stragglers, "
        "which took five times as long, left out in the next column), or in the time kept for taking work back:",
        "",
        "| nights | quantile | started, of the oracle's | past the end | without stragglers | in the reserve |",
        "|---|---|---|---|---|---|",
    ]
    kinds = (("all", every), (f"too short ({full.nights:,})", full), (f"some with a load ({slow.nights:,})", slow))
    for name, found in kinds:
        for quantile, one in found.gate.items():
            started = max(1, one.started)
            cells = [name, f"{quantile}{' (used)' if quantile == QUANTILE else ''}", f"{found.starts(quantile):.2%}"]
            cells += [f"{part / started:.3%}" for part in (one.overran, one.overran - one.straggled, one.in_reserve)]
            lines.append(f"| {' | '.join(cells)} |")
    broken = []
    if (overruns := every.gate[QUANTILE].overruns) > MOST_OVERRUNS:
        broken.append(f"{overruns:.3%} of started hosts ended past the window; at most {MOST_OVERRUNS:.1%} may")
    if (starts := every.starts(QUANTILE)) < LEAST_STARTS:
        broken.append(f"{starts:.2%} of the oracle's starts; {LEAST_STARTS:.0%} are wanted")
    return lines, broken


def main() -> int:
    """Print the curve; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.gate_nights", description=__doc__)
    parser.add_argument("--nights", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--durations", type=Path, help="a directory with durations-*.csv (columns host, seconds)")
    asked = parser.parse_args()
    lines, broken = campaign(asked.seed, asked.nights, asked.durations)
    print("\n".join(lines))
    for line in broken:
        print(f"BROKEN: {line}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
