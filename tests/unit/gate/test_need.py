"""The time that a host needs: more for more work, never wild, and exceeded about as often as it says."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from civicops.gate.need import (
    LEAST,
    LONGEST_LOAD,
    MOST,
    Defaults,
    Sample,
    Work,
    load_factor,
    needed,
    student,
)

FIGURES = Defaults(fixed=180, per_package=3, per_megabyte=0.5, reboot=150, rollback=120)
PLAIN = Work(None)
any_number = st.floats() | st.sampled_from([0.0, -1.0, math.nan, math.inf, 365 * 86400.0, 1e308, 5e-324])
works = st.builds(Work, st.none() | st.floats(0, 1e5), st.integers(0, 5000), st.floats(0, 1e5), st.booleans())
wild_works = st.builds(Work, st.none() | any_number, st.integers(), any_number, st.booleans())
samples = st.builds(Sample, st.sampled_from("abcdef"), wild_works, any_number, any_number)
histories = st.lists(samples, max_size=30)


def nominal(work: Work, figures: Defaults = FIGURES) -> float:
    effort = figures.fixed + figures.per_package * work.packages + figures.per_megabyte * work.megabytes
    return (effort if work.seconds is None else work.seconds) + figures.reboot * work.reboot


def runs(host: str, *seconds: float) -> list[Sample]:
    return [Sample(host, PLAIN, one) for one in seconds]


@settings(deadline=None)
@given(work=wild_works, own=histories, ring=histories, load=any_number, figures=st.tuples(*[any_number] * 5))
def test_whatever_history_holds_the_need_is_a_number(
    work: Work, own: list[Sample], ring: list[Sample], load: float, figures: tuple[float, ...]
) -> None:
    need = needed(work, own, ring, Defaults(*figures), load)
    for value in (need.seconds, need.reserve, need.typical):
        assert math.isfinite(value)
        assert value >= 0


@settings(deadline=None)
@given(work=works, own=histories, ring=histories, load=any_number)
@example(Work(None), runs("a", 365 * 86400.0), [], 1.0)
@example(Work(None), runs("a", *[1e-9] * 50), [], 1.0)
def test_no_history_moves_it_beyond_its_bounds(work: Work, own: list[Sample], ring: list[Sample], load: float) -> None:
    """A reboot that was measured may be ten times the job's figure by itself."""
    need = needed(work, own, ring, FIGURES, load)
    least = max(1.0, nominal(replace(work, reboot=False)))
    most = max(1.0, nominal(replace(work, reboot=False)) + MOST * FIGURES.reboot * work.reboot)
    assert LEAST * least * (1 - 1e-9) <= need.seconds <= MOST * most * LONGEST_LOAD * (1 + 1e-9)
    assert FIGURES.rollback <= need.reserve <= FIGURES.rollback * MOST * LONGEST_LOAD


@settings(deadline=None)
@given(
    work=works, packages=st.integers(0, 100), megabytes=st.floats(0, 1000), own=histories, ring=histories,
    load=st.floats(1, 3), more=st.floats(0, 2),
)  # fmt: skip
def test_more_work_and_more_load_never_need_less(
    work: Work, packages: int, megabytes: float, own: list[Sample], ring: list[Sample], load: float, more: float
) -> None:
    larger = replace(work, packages=work.packages + packages, megabytes=work.megabytes + megabytes, reboot=True)
    less, much = needed(work, own, ring, FIGURES, load), needed(larger, own, ring, FIGURES, load + more)
    assert less.seconds <= much.seconds * (1 + 1e-9)
    assert less.reserve <= much.reserve


@settings(deadline=None)
@given(work=works)
def test_without_any_history_it_is_the_job_s_default(work: Work) -> None:
    need = needed(work, [], [], FIGURES, 1.0)
    assert need.seconds == pytest.approx(max(1.0, nominal(work)))
    assert (need.reserve, need.basis) == (120, "job's default")


def test_the_basis_says_what_it_rests_on() -> None:
    ring = [*runs("b", 100, 120), *runs("c", 130)]
    assert needed(PLAIN, runs("a", 100), ring, FIGURES, 1.0).basis == "host's own history (1 run)"
    assert needed(PLAIN, runs("a", *[100] * 30), ring, FIGURES, 1.0).basis == "host's own history (20 runs)"
    assert needed(PLAIN, runs("a", math.nan, 0), ring, FIGURES, 1.0).basis == "ring's history (3 runs)"


def test_three_runs_promise_less_than_twenty() -> None:
    dice = random.Random(1)  # noqa: S311  not for secrets
    few = [math.exp(dice.gauss(math.log(300), 0.35)) for _ in range(3)]
    three = needed(PLAIN, runs("a", *few), [], FIGURES, 1.0)
    many = needed(PLAIN, runs("a", *few * 7), [], FIGURES, 1.0)
    assert three.seconds > max(few)
    assert many.seconds < three.seconds


@pytest.mark.parametrize("past", [0, 1, 3, 6, 12, 20])
def test_it_is_exceeded_about_once_in_twenty(past: int) -> None:
    """Nights of log-normal hosts (0.5 among each other, 0.35 each) in rings of twelve; 4,000 predictions."""
    dice = random.Random(past)  # noqa: S311  not for secrets
    over = 0
    for _ in range(4000):
        middles = [300 * math.exp(dice.gauss(0, 0.5)) for _ in range(12)]
        ring = [
            sample
            for number, middle in enumerate(middles[1:])
            for sample in runs(str(number), *(middle * math.exp(dice.gauss(0, 0.35)) for _ in range(6)))
        ]
        own = runs("own", *(middles[0] * math.exp(dice.gauss(0, 0.35)) for _ in range(past)))
        over += middles[0] * math.exp(dice.gauss(0, 0.35)) > needed(PLAIN, own, ring, FIGURES, 1.0).seconds
    assert 0.02 <= over / 4000 <= 0.07


def test_one_run_that_hung_does_not_count_for_months() -> None:
    steady = [300.0, 320, 280, 310, 290, 305, 315, 285]
    before = needed(PLAIN, runs("a", *steady), [], FIGURES, 1.0).seconds
    assert needed(PLAIN, runs("a", *steady, 1500), [], FIGURES, 1.0).seconds < 1.5 * before


def test_one_host_that_lies_moves_its_ring_little() -> None:
    ring = [sample for number in range(6) for sample in runs(str(number), 300, 320, 280)]
    before = needed(PLAIN, [], ring, FIGURES, 1.0).seconds
    for lie in (1e-6, 365 * 86400.0):
        after = needed(PLAIN, [], [*ring, *runs("liar", *[lie] * 500)], FIGURES, 1.0).seconds
        assert 0.6 * before < after < 1.9 * before


def test_a_ring_s_hosts_count_alike_however_often_they_ran() -> None:
    even = [*runs("a", *[200] * 8), *runs("b", *[800] * 8)]
    uneven = [*runs("a", *[200] * 800), *runs("b", *[800] * 8)]
    assert needed(PLAIN, [], even, FIGURES, 1.0).seconds == needed(PLAIN, [], uneven, FIGURES, 1.0).seconds


def test_a_host_that_boots_slowly_is_given_time_for_it_only_where_it_boots() -> None:
    work = Work(None, reboot=True)
    slow = [Sample("a", work, 180 + 900, 900) for _ in range(8)]
    quick = [Sample("a", work, 180 + 150, 150) for _ in range(8)]
    assert needed(work, slow, [], FIGURES, 1.0).typical == pytest.approx(1080, rel=0.05)
    assert needed(PLAIN, slow, [], FIGURES, 1.0).typical == pytest.approx(180, rel=0.05)
    assert needed(work, quick, [], FIGURES, 1.0).typical == pytest.approx(330, rel=0.05)


def test_the_load_of_a_run() -> None:
    assert load_factor([(100, 300)] * 4) == 1.0
    assert load_factor([(100, 100)] * 20) == 1.0
    assert load_factor([(100, 50)] * 20) == 1.0
    assert load_factor([(100, 200)] * 40) == pytest.approx(2, rel=0.1)
    assert load_factor([(100, 1e9)] * 40) == 3.0
    assert load_factor([(100, 100)] * 19 + [(100, 500)]) < 1.1


@settings(deadline=None)
@given(finished=st.lists(st.tuples(any_number, any_number), max_size=30))
def test_the_load_is_bounded(finished: list[tuple[float, float]]) -> None:
    assert 1.0 <= load_factor(finished) <= 3.0


@pytest.mark.parametrize(
    ("quantile", "freedom", "value"),
    # Tables of Student's t, such as NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
    [(0.95, 4, 2.132), (0.95, 6, 1.943), (0.95, 20, 1.725), (0.99, 6, 3.143), (0.9, 10, 1.372), (0.975, 30, 2.042)],
)
def test_student_s_quantiles(quantile: float, freedom: float, value: float) -> None:
    assert student(quantile, freedom) == pytest.approx(value, rel=0.005)
