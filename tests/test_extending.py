"""A profile that extends another: what is added, what is replaced, what counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from profiles import EXPOSURE, FOCUS, term

from cinereward.errors import ConfigError
from cinereward.profile import Profile, load_profile


def written(folder: Path, name: str, **content: Any) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "validated": None, **content}))
    return path


def below(folder: Path, **changed: Any) -> Path:
    content: dict[str, Any] = {"operators": ["sharpness"], "curves": {FOCUS: [term("sharpness.blur")]}}
    return written(folder, "below", **content | changed)


def extending(folder: Path, **content: Any) -> Profile:
    return load_profile(written(folder, "own", extends="below.yaml", **content))


def measured(profile: Profile, name: str) -> list[str]:
    return [term.measurement for term in profile.curves[name]]


def test_operators_are_added_to_those_below(tmp_path: Path) -> None:
    below(tmp_path)
    assert extending(tmp_path, operators=["exposure", "sharpness"]).operators == ("sharpness", "exposure")


def test_all_that_is_not_named_comes_from_below(tmp_path: Path) -> None:
    below(tmp_path, window_frames=7)
    profile = extending(tmp_path)
    assert (profile.name, profile.window_frames, profile.operators) == ("own", 7, ("sharpness",))


def test_terms_are_added_to_those_below(tmp_path: Path) -> None:
    below(tmp_path)
    profile = extending(tmp_path, curves={FOCUS: [term("sharpness.jump")], EXPOSURE: [term("exposure.level")]})
    assert measured(profile, FOCUS) == ["sharpness.blur", "sharpness.jump"]
    assert measured(profile, EXPOSURE) == ["exposure.level"]


def test_a_term_of_the_same_measurement_replaces_the_one_below(tmp_path: Path) -> None:
    below(tmp_path)
    profile = extending(tmp_path, curves={FOCUS: [term("sharpness.blur") | {"weight": 0.5}]})
    assert [(part.measurement, part.weight) for part in profile.curves[FOCUS]] == [("sharpness.blur", 0.5)]


def test_a_term_under_another_condition_stands_beside_the_one_below(tmp_path: Path) -> None:
    below(tmp_path)
    profile = extending(tmp_path, curves={FOCUS: [term("sharpness.blur") | {"when": ["people"]}]})
    assert [sorted(part.when) for part in profile.curves[FOCUS]] == [[], ["people"]]


def test_an_intent_gets_further_curves(tmp_path: Path) -> None:
    intent = {"words": {"en": ["soft"]}, "curves": {"sharpness.blur": {"stretch": 2}}}
    below(tmp_path, intents={"soft": intent})
    profile = extending(tmp_path, intents={"soft": {"curves": {"sharpness.jump": {"excused": True}}}})
    assert set(profile.intents["soft"].curves) == {"sharpness.blur", "sharpness.jump"}
    assert profile.intents["soft"].words == {"en": ("soft",)}


def test_weights_are_laid_over_those_below(tmp_path: Path) -> None:
    below(tmp_path, weights={"aspect": {"acting": 2, "aesthetics": 3}})
    profile = extending(tmp_path, weights={"aspect": {"acting": 5}})
    assert profile.weights.aspect == {"acting": 5, "aesthetics": 3}


def test_settings_of_the_judge_are_laid_over_those_below(tmp_path: Path) -> None:
    below(tmp_path, judge={"model": "a", "mode": "direct", "showing": {"frames": 8, "pixels": 4096}})
    profile = extending(tmp_path, judge={"mode": "cot", "showing": {"frames": 4}})
    assert profile.judge == {"model": "a", "mode": "cot", "showing": {"frames": 4, "pixels": 4096}}


def test_a_profile_may_do_without_the_judge_below(tmp_path: Path) -> None:
    below(tmp_path, judge={"model": "a"})
    assert extending(tmp_path, judge=None).judge is None


def test_a_shipped_profile_is_extended_by_its_name(tmp_path: Path) -> None:
    profile = load_profile(written(tmp_path, "own", extends="signal"))
    assert profile.operators == load_profile("signal").operators


def test_the_file_below_brings_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "curves.yaml").write_text(yaml.safe_dump({FOCUS: [term("sharpness.blur")]}))
    written(tmp_path / "deep", "under", operators=["sharpness"], curves="curves.yaml")
    assert measured(load_profile(written(tmp_path, "own", extends="deep/under.yaml")), FOCUS) == ["sharpness.blur"]


def test_a_profile_that_is_not_there_cannot_be_extended(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"own.yaml extends 'nowhere', which is not there; give signal, perception"):
        load_profile(written(tmp_path, "own", extends="nowhere"))


def test_a_profile_that_extends_itself_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "one", extends="two.yaml")
    with pytest.raises(ConfigError, match="extends itself, by way of"):
        load_profile(written(tmp_path, "two", extends="one.yaml"))


@pytest.mark.parametrize(("key", "wrong"), [("operators", "sharpness"), ("curves", [1]), ("weights", 3)])
def test_what_is_of_the_wrong_kind_is_told_as_ever(tmp_path: Path, key: str, wrong: object) -> None:
    below(tmp_path)
    with pytest.raises(ConfigError, match=rf"own.yaml:\n.*{key}"):
        extending(tmp_path, **{key: wrong})
