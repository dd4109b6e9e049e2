"""From the signs of an uncertain prediction to its expected error: what is fitted, what it covers, which group says."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest

from charge3net import InputError
from charge3net.predict.calibration import NEW, Calibration, Line, Signs, nonmetal_share

#: ln ε − ln s of each group, and its scatter, and the slope of ln ρ, in the made-up world below.
WORLD = {
    "new": (0.8, 0.4, -0.5),
    "crystals": (0.1, 0.2, 0.0),
    "molecules": (0.4, 0.1, 0.0),
    "liquids": (0.0, 0.05, 0.0),
}
BOUNDARY = 0.3


def draw(group: str, count: int, rng: np.random.Generator) -> tuple[list[Signs], list[float], list[str]]:
    """Structures of a group, one of each formula, whose errors follow the law of the group."""
    shift, scatter, thinness = WORLD[group]
    bonding = {"molecules": "molecule", "liquids": "molecules"}.get(group, "network")
    distance = rng.uniform(0.5, 2.0, count) if group == "new" else rng.uniform(0.0, 0.2, count)
    spreads, densities = np.exp(rng.normal(-4.0, 0.6, count)), np.exp(rng.normal(0.0, 0.5, count))
    errors = spreads * densities**thinness * np.exp(shift + rng.normal(0.0, scatter, count))
    signs = [Signs(*map(float, values), bonding) for values in zip(spreads, densities, distance, strict=True)]
    return signs, errors.tolist(), [f"{group}{i}" for i in range(count)]


def world(counts: dict[str, int], rng: np.random.Generator) -> tuple[list[Signs], list[float], list[str]]:
    parts = [draw(group, count, rng) for group, count in counts.items()]
    signs, errors, formulas = (list(itertools.chain.from_iterable(part[i] for part in parts)) for i in range(3))
    return signs, errors, formulas


def covered(calibration: Calibration, signs: list[Signs], errors: list[float]) -> float:
    expected = [calibration.expected(sign) for sign in signs]
    return float(np.mean([e.low <= 100.0 * error <= e.high for e, error in zip(expected, errors, strict=True)]))


def test_every_group_is_covered_as_promised_though_one_line_for_all_would_not_do():
    rng = np.random.default_rng(0)
    inside: dict[str, list[tuple[float, float]]] = {group: [] for group in WORLD}
    for _ in range(6):
        drawn = world(dict.fromkeys(WORLD, 60), rng)
        calibration, one = Calibration.fit(*drawn, BOUNDARY), Calibration({"all": Line.fit(*drawn, further=False)})
        assert set(calibration.groups) == set(WORLD)
        for group, found in inside.items():
            signs, errors, _ = draw(group, 200, rng)
            assert {calibration.group(sign) for sign in signs} == {group}
            found.append((covered(calibration, signs, errors), covered(one, signs, errors)))
    for group, found in inside.items():
        by_group, together = np.mean(found, axis=0)
        assert 0.86 < by_group < 0.94, group
        assert together < 0.8 if group == "new" else together > 0.93, group
    new, groups = calibration.groups["new"], calibration.groups
    assert (new.slope, new.further["typical_density"][0]) == (pytest.approx(1.0, abs=0.2), pytest.approx(-0.5, abs=0.2))
    assert groups["liquids"].above < groups["molecules"].above < groups["crystals"].above < new.above


def test_few_formulas_get_no_slope_of_their_own():
    rng = np.random.default_rng(1)
    signs, errors, _ = draw("molecules", 12, rng)
    few = Line.fit(signs, errors, ["a", "b", "c", "d"] * 3, further=False)
    assert (few.slope, few.structures, few.formulas) == (1.0, 12, 4)
    assert few.intercept == pytest.approx(np.mean(np.log(errors) - np.log([s.spread for s in signs])))


def test_a_formula_with_many_structures_counts_once():
    rng = np.random.default_rng(2)
    signs, errors, formulas = draw("crystals", 20, rng)
    odd = dataclasses.replace(signs[0], spread=0.01)
    once = Line.fit([*signs, odd], [*errors, 0.5], [*formulas, "odd"], further=False)
    often = Line.fit([*signs, *[odd] * 50], [*errors, *[0.5] * 50], [*formulas, *["odd"] * 50], further=False)
    assert often.intercept == pytest.approx(once.intercept)
    assert often.slope == pytest.approx(once.slope)


def test_the_interval_of_one_substance_holds_the_largest_residual_of_ten():
    """Split conformal prediction: of ten values the tenth bounds the eleventh with a probability of 10/11."""
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(200):
        signs, errors, _ = draw("liquids", 11, rng)
        line = Line.fit(signs[:10], errors[:10], ["C3H4O3"] * 10, further=False)
        found = line.expected(signs[10])
        inside.append(found.low <= 100.0 * errors[10] <= found.high)
    assert 0.86 < np.mean(inside) < 0.96


def test_few_residuals_that_happen_to_be_small_do_not_narrow_the_interval():
    """Ten structures at ±5 %, left out in turn: Student's t for 90 % and nine degrees of freedom is 1.833."""
    rng = np.random.default_rng(5)
    signs, _, _ = draw("liquids", 10, rng)
    errors = [2.0 * sign.spread * np.exp(0.05 * (-1) ** number) for number, sign in enumerate(signs)]
    line = Line.fit(signs, errors, ["C3H4O3"] * 10, further=False)
    held_out = 0.05 * 10 / 9  # from the mean of the other nine
    assert line.above == pytest.approx(1.8331 * held_out, rel=1e-3)
    assert line.below == -line.above


def test_without_a_line_of_its_own_a_familiar_structure_is_taken_as_new():
    rng = np.random.default_rng(4)
    calibration = Calibration.fit(*world({"new": 40, "molecules": 4}, rng), BOUNDARY)
    assert set(calibration.groups) == {NEW}
    familiar = Signs(0.01, 1.0, 0.05, "molecule")
    assert calibration.expected(familiar) == calibration.groups[NEW].expected(familiar, NEW)
    assert calibration.group(Signs(0.01, 1.0, None, "network")) == NEW


def test_distance_and_electrons_count_where_they_are_known_and_are_average_where_not():
    rng = np.random.default_rng(7)
    signs, errors = [], []
    for _ in range(200):
        spread, distance, electrons = np.exp(rng.normal(-4.0, 0.6)), rng.uniform(0.4, 2.0), rng.normal(0.0, 0.01)
        signs.append(Signs(float(spread), 1.0, float(distance), "network", float(electrons)))
        errors.append(float(2.0 * spread * distance**0.6 * (abs(electrons) + 1e-3) ** 0.3 * np.exp(rng.normal(0, 0.1))))
    line = Line.fit(signs, errors, [f"f{i}" for i in range(200)], further=True)
    assert line.further["distance"][0] == pytest.approx(0.6, abs=0.05)
    assert line.further["electron_error"][0] == pytest.approx(0.3, abs=0.05)
    known = Signs(0.02, 1.0, 1.5, "network", -0.004)
    assert line.expected(known).percent == pytest.approx(100 * 2.0 * 0.02 * 1.5**0.6 * 0.005**0.3, rel=0.1)
    unknown = dataclasses.replace(known, electron_error=None)
    typical = np.exp(np.mean([np.log(abs(s.electron_error or 0.0) + 1e-3) for s in signs])) - 1e-3
    average = dataclasses.replace(known, electron_error=float(typical))
    assert line.expected(unknown).percent == pytest.approx(line.expected(average).percent)
    some = [dataclasses.replace(s, electron_error=None) if i == 0 else s for i, s in enumerate(signs)]
    assert set(Line.fit(some, errors, [f"f{i}" for i in range(200)], further=True).further) == {
        "typical_density",
        "distance",
    }


def test_the_share_of_nonmetals_counts_where_it_is_known():
    assert nonmetal_share([11, 17]) == nonmetal_share([14, 6]) == 0.5
    assert nonmetal_share([1, 2, 8, 54]) == 1.0
    assert nonmetal_share([5, 14, 32, 33, 52, 26]) == 0.0
    rng = np.random.default_rng(8)
    signs, errors = [], []
    for _ in range(200):
        spread, share = float(np.exp(rng.normal(-4.0, 0.6))), float(rng.uniform())
        signs.append(Signs(spread, 1.0, None, "network", None, share))
        errors.append(float(2.0 * spread * np.exp(0.8 * share + rng.normal(0, 0.1))))
    line = Line.fit(signs, errors, [f"f{i}" for i in range(200)], further=True)
    assert line.further["nonmetals"][0] == pytest.approx(0.8, abs=0.1)
    assert line.expected(dataclasses.replace(signs[0], nonmetals=1.0)).percent == pytest.approx(
        200 * signs[0].spread * np.exp(0.8), rel=0.1
    )


def test_json_holds_everything_and_the_single_line_of_older_releases_is_read():
    rng = np.random.default_rng(5)
    calibration = Calibration.fit(*world({"new": 40, "crystals": 40}, rng), BOUNDARY)
    assert Calibration.from_json(calibration.to_json()) == calibration
    held = dataclasses.replace(calibration.groups["new"], tested=(72, 0.8))
    after = dataclasses.replace(calibration, groups={"new": held})
    again = Calibration.from_json(json.loads(json.dumps(after.to_json())))
    assert again == after
    assert again.expected(Signs(0.01, 1.0, None, "network")).tested == (72, 0.8)
    old = {"intercept": 0.5, "slope": 2.0, "below": -0.7, "above": 0.9, "structures": 61}
    found = Calibration.from_json(old).expected(Signs(0.03, 1.0, None, "network"))
    middle = 100.0 * np.exp(0.5) * 0.03**2
    expected = middle, middle * np.exp(-0.7), middle * np.exp(0.9)
    assert (found.percent, found.low, found.high) == tuple(map(pytest.approx, expected))


@pytest.mark.parametrize(
    "damaged",
    [
        {"intercept": 0.0, "slope": "steep"},
        {
            "groups": {"crystals": {"intercept": 0.0, "slope": 1.0, "below": 0, "above": 0, "structures": 3}},
            "boundary": 1,
        },
        {"groups": {"new": {"slope": 1.0}}, "boundary": 1},
        {"groups": [], "boundary": 1},
    ],
)
def test_a_damaged_calibration_is_refused(damaged):
    with pytest.raises(InputError, match="damaged"):
        Calibration.from_json(damaged)


def test_a_calibration_needs_new_structures_and_as_many_errors():
    rng = np.random.default_rng(6)
    with pytest.raises(InputError, match="ten structures"):
        Calibration.fit(*world({"new": 9, "crystals": 40}, rng), BOUNDARY)
    signs, errors, formulas = draw("new", 20, rng)
    with pytest.raises(InputError, match="give one each"):
        Calibration.fit(signs, errors[:-1], formulas, BOUNDARY)
