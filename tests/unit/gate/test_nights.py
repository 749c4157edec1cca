"""A few hundred simulated nights; `make campaign` runs ten thousand."""

from __future__ import annotations

from pathlib import Path

from tests.gate_nights import FIGURES, Host, Night, campaign, draw, play, read_durations, tally

from civicops.gate.need import QUANTILE, Pace


def test_the_promises_hold_on_two_hundred_nights() -> None:
    lines, broken = campaign(seed=1, nights=200)
    assert broken == []
    assert lines[2].startswith("| nights | quantile |")


def test_a_larger_quantile_overruns_less_and_starts_less() -> None:
    every, _ = tally(draw(2, 100))
    low, high = every.gate[0.5], every.gate[0.99]
    assert low.overran > high.overran
    assert low.started > high.started


def test_the_oracle_never_overruns() -> None:
    every, full = tally(draw(3, 60))
    assert every.oracle.overran == full.oracle.overran == 0
    assert every.oracle.started > every.gate[QUANTILE].started


def test_real_durations_can_take_part(tmp_path: Path) -> None:
    rows = [f"host{host},{300 + 10 * run}" for host in range(3) for run in range(8)] + ["few,1"]
    (tmp_path / "durations-town.csv").write_text("host,seconds\n" + "\n".join(rows) + "\n")
    real = read_durations(tmp_path)
    assert [len(seconds) for seconds in real] == [8, 8, 8]
    assert read_durations(None) == []
    lines, _ = campaign(seed=4, nights=10, durations=tmp_path)
    assert "real durations of 3 hosts" in lines[0]


def test_a_night_by_hand() -> None:
    """Window 1000 s. Both of the first batch fit; the second batch has 400 s left, and needs 400 and the reserve."""
    estimate = next(draw(5, 1)).batches[0][0].estimate
    fixed = type(estimate)(400.0, Pace(0.0, 0.0, 6, "made"), FIGURES.rollback)
    batches = [[Host(fixed, 300, False), Host(fixed, 600, False)], [Host(fixed, 100, False)]]
    count = play(Night(1000.0, batches), lambda host, load: host.estimate.need(load))
    assert (count.started, count.overran) == (2, 0)
    count = play(Night(599.0, batches), lambda host, load: host.estimate.need(load))
    assert (count.started, count.overran, count.in_reserve) == (2, 1, 0)
