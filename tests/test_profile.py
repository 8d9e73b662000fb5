from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cinereward.errors import ConfigError
from cinereward.fusion import curve
from cinereward.profile import Profile, Term, build, load_profile

FOCUS = "cinematography.lens.focus"
TERM: dict[str, Any] = {
    "measurement": "exposure.flicker",
    "shape": "falling",
    "points": [[0, 1], [1, 0.5], [2, 0]],
    "source": "made up for a test",
}
PROFILE: dict[str, Any] = {
    "name": "mine",
    "validated": None,
    "operators": ["exposure"],
    "curves": {FOCUS: [TERM]},
}


def write(folder: Path, content: Any, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


# --- curves ---

XS = st.lists(st.floats(-100, 100), min_size=2, max_size=8, unique=True).map(sorted)


@st.composite
def rising(draw: st.DrawFn) -> Term:
    xs = draw(XS)
    ys = sorted(draw(st.lists(st.floats(0, 1), min_size=len(xs), max_size=len(xs))))
    return Term(**TERM | {"shape": "rising", "points": tuple(zip(xs, ys, strict=True))})


@given(rising(), st.floats(-200, 200), st.floats(-200, 200))
def test_a_rising_curve_never_falls(term: Term, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert curve(term.points, low) <= curve(term.points, high) + 1e-12


@given(rising(), st.floats(-200, 200), st.floats(-200, 200))
def test_a_falling_curve_never_rises(term: Term, one: float, other: float) -> None:
    low, high = sorted((one, other))
    points = tuple((x, 1 - y) for x, y in term.points)
    falling = Term(**TERM | {"shape": "falling", "points": points})
    assert curve(falling.points, low) >= curve(falling.points, high) - 1e-12


@given(rising(), st.floats(allow_nan=False))
def test_a_curve_stays_in_zero_to_one(term: Term, value: float) -> None:
    assert 0 <= curve(term.points, value) <= 1


@given(rising())
def test_a_curve_passes_through_its_points(term: Term) -> None:
    for x, y in term.points:
        assert curve(term.points, x) == pytest.approx(y, abs=1e-12)


@given(XS, st.data())
def test_a_shape_is_what_it_says(xs: list[float], data: st.DataObject) -> None:
    ys = data.draw(st.lists(st.floats(0, 1), min_size=len(xs), max_size=len(xs)))
    steps = [b - a for a, b in itertools.pairwise(ys)]
    signs = [step > 0 for step in steps if step != 0]
    fits = {
        "rising": all(signs),
        "falling": not any(signs),
        "peaked": True in signs and False in signs and signs == sorted(signs, reverse=True),
    }
    for shape, fit in fits.items():
        content = TERM | {"shape": shape, "points": tuple(zip(xs, ys, strict=True))}
        if fit:
            Term(**content)
        else:
            with pytest.raises(ValueError, match=f"are not {shape}"):
                Term(**content)


BAD_TERMS: list[tuple[dict[str, Any], str]] = [
    ({"points": [[0, 1]]}, "at least 2 items"),
    ({"points": [[0, 1], [0, 0]]}, "the points' values must rise"),
    ({"points": [[1, 1], [0, 0]]}, "the points' values must rise"),
    ({"points": [[0, 1.5], [1, 0]]}, r"the points' scores must lie in \[0, 1\]"),
    ({"points": [[0, 1], [1, -0.1]]}, r"the points' scores must lie in \[0, 1\]"),
    ({"points": [[0, 1], [float("nan"), 0]]}, "finite"),
    ({"points": [[0, 1], [float("inf"), 0]]}, "finite"),
    ({"points": [[0, float("nan")], [1, 0]]}, "finite"),
    ({"points": [[0, 1, 2], [1, 0]]}, "curves"),
    ({"points": "0 1"}, "tuple"),
    ({"shape": "rising"}, "are not rising"),
    ({"shape": "peaked"}, "are not peaked"),
    ({"shape": "wavy"}, "'rising', 'falling' or 'peaked'"),
    ({"source": "me"}, "at least 10 characters"),
    ({"weight": 0}, "greater than 0"),
    ({"std": 2}, "less than or equal to 1"),
]


@pytest.mark.parametrize(("changed", "told"), BAD_TERMS)
def test_a_bad_curve_is_told(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    path = write(tmp_path, PROFILE | {"curves": {FOCUS: [TERM | changed]}})
    with pytest.raises(ConfigError, match=told) as caught:
        load_profile(path)
    assert f"curves.{FOCUS}.0" in str(caught.value)
    assert str(path) in str(caught.value)


# --- files ---


def test_the_shipped_profile_loads_and_says_that_it_is_not_validated() -> None:
    profile = load_profile("signal")
    assert profile.name == "signal"
    assert profile.validated is None
    profile.load_taxonomy()


def test_an_unknown_name_lists_the_profiles() -> None:
    with pytest.raises(
        ConfigError, match="no profile is called 'nope'; give signal, perception, cinematic, vbench, or the path"
    ):
        load_profile("nope")


@pytest.mark.parametrize("name", ["singal", "Signal", "signal.yaml", "signals"])
def test_an_unknown_name_that_looks_like_one_is_told_which(name: str) -> None:
    with pytest.raises(
        ConfigError,
        match=f"'{name}'; did you mean signal.* Else give signal, perception, cinematic, vbench, or the path",
    ):
        load_profile(name)


@pytest.mark.parametrize("given", [None, 3, b"signal"])
def test_what_is_neither_name_nor_path_is_told(given: Any) -> None:
    told = f"profile is a {type(given).__name__}; expected a str or a path; give signal"
    with pytest.raises(ConfigError, match=told):
        load_profile(given)


def test_a_folder_is_no_profile(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no profile is called"):
        load_profile(tmp_path)


def test_curves_may_lie_in_a_file_beside_it(tmp_path: Path) -> None:
    write(tmp_path, {FOCUS: [TERM]}, "tastes/curves.yaml")
    path = write(tmp_path, PROFILE | {"curves": "../tastes/curves.yaml"}, "profiles/mine.yaml")
    assert load_profile(path).curves == load_profile(write(tmp_path, PROFILE)).curves


def test_a_missing_file_of_curves_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, PROFILE | {"curves": "nowhere.yaml"})
    with pytest.raises(ConfigError, match=r"nowhere.yaml cannot be read: .*No such file"):
        load_profile(path)


def test_the_taxonomy_is_found_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path, PROFILE | {"taxonomy": "nowhere.yaml"})
    with pytest.raises(ConfigError, match=str(tmp_path / "nowhere.yaml")):
        load_profile(path).load_taxonomy()


BAD_FILES = [
    ("a: [", "cannot be read"),
    ("", "valid dictionary"),
    ("just words", "valid dictionary"),
    ("- a\n- b", "valid dictionary"),
    ("!!python/object/apply:os.system [ls]", "cannot be read"),
]


@pytest.mark.parametrize(("text", "told"), BAD_FILES)
def test_what_is_no_profile_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_profile(write(tmp_path, text))


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile(path)


UNKNOWN: list[tuple[dict[str, Any], str, str]] = [
    (
        PROFILE | {"curve": {}},
        "curve",
        "batch_size, curves, decoder, extends, flow, intents, judge, name, operators, right, taxonomy, "
        "validated, weights, window_frames",
    ),
    (
        PROFILE | {"curves": {FOCUS: [TERM | {"point": []}]}},
        "point",
        "measurement, points, shape, source, std, weight",
    ),
    (PROFILE | {"weights": {"stages": {}}}, "weights.stages", "aspect, dimension, stage, sub_dimension"),
]


@pytest.mark.parametrize(("content", "key", "valid"), UNKNOWN)
def test_an_unknown_key_lists_the_valid_ones(tmp_path: Path, content: Any, key: str, valid: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile(write(tmp_path, content))
    assert f"{key}: unknown key; valid keys here: {valid}" in str(caught.value)


BAD_PROFILES: list[tuple[dict[str, Any], str]] = [
    ({"operators": []}, "at least 1 item"),
    ({"window_frames": 0}, "greater than or equal to 1"),
    ({"batch_size": 0}, "greater than or equal to 1"),
    ({"name": "two words"}, "match pattern"),
    ({"weights": {"stage": {"production": -1}}}, "the weight of production is -1.0; expected 0 or more"),
    ({"weights": {"stage": {"production": float("nan")}}}, "finite"),
    ({"taxonomy": 3}, "valid string"),
]


@pytest.mark.parametrize(("changed", "told"), BAD_PROFILES)
def test_a_bad_value_is_told(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_profile(write(tmp_path, PROFILE | changed))


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, PROFILE | {"window_frames": 0, "batch_size": 0, "colour": 1})
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert all(word in str(caught.value) for word in ("window_frames", "batch_size", "colour"))


NAMES: list[tuple[dict[str, Any], str]] = [
    ({"curves": {"cinematography.lens.focs": [TERM]}}, "did you mean .*cinematography.lens.focus"),
    ({"weights": {"aspect": {"actin": 1}}}, "weights of level aspect: there is no 'actin'; did you mean acting"),
    ({"weights": {"stage": {"zzz": 1}}}, "valid: post_production, pre_production, production"),
    ({"weights": {"dimension": {"acting": 1}}}, "weights of level dimension: there is no 'acting'"),
]


@pytest.mark.parametrize(("changed", "told"), NAMES)
def test_a_name_that_the_taxonomy_lacks_is_told(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    profile = load_profile(write(tmp_path, PROFILE | changed))
    with pytest.raises(ConfigError, match=told):
        profile.load_taxonomy()


# --- identity ---


def made(**changed: Any) -> Profile:
    return build(Profile, PROFILE | changed, "a test")


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"window_frames": 8},
        {"weights": {"stage": {"production": 2}}},
        {"curves": {FOCUS: [TERM | {"std": 0.1}]}},
        {"curves": {FOCUS: [TERM | {"weight": 0.5}]}},
        {"curves": {FOCUS: [TERM | {"points": [[0, 1], [2, 0]]}]}},
        {"curves": {}},
    ],
)
def test_what_decides_a_number_is_in_the_hash(changed: dict[str, Any]) -> None:
    assert made(**changed).hash != made().hash


@pytest.mark.parametrize(
    "changed",
    [
        {"validated": "Spearman 0.6 on 500 clips"},
        {"batch_size": 8},
        {"taxonomy": "/somewhere/else.yaml"},
        {"curves": {FOCUS: [TERM | {"source": "another source"}]}},
    ],
)
def test_what_decides_no_number_is_not_in_the_hash(changed: dict[str, Any]) -> None:
    assert made(**changed).hash == made().hash


def test_a_profile_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        made().name = "other"
