from __future__ import annotations

import pytest
from pydantic import ValidationError

from cinereward import Clip, RewardModel, Status
from cinereward.errors import ConfigError
from cinereward.intents import read_intents, vary
from cinereward.profile import Intent, Profile, Term, Variant, build, load_profile
from cinereward.testing import FAULTS, clip, scene

INTENTS = load_profile("signal").intents


def asked(prompt: str) -> set[str]:
    return set(read_intents(prompt, INTENTS))


@pytest.mark.parametrize(
    ("prompt", "intent"),
    [
        ("A film noir: a detective in an alley", "noir"),
        ("侦探走进小巷，黑色电影风格", "noir"),
        ("handheld camera follows a runner", "handheld"),
        ("手持镜头跟拍跑者", "handheld"),
        ("strobe lights in a crowded club", "strobe"),
        ("夜店里频闪的灯光", "strobe"),
        ("shot on 16mm with heavy film grain", "film_grain"),
        ("胶片颗粒感的街景", "film_grain"),
        ("A black and white portrait of a sailor", "black_and_white"),
        ("黑白影像，老人的肖像", "black_and_white"),
        ("2D animation of a fox", "animation"),
        ("水彩动画，一只狐狸", "animation"),
        ("slow cinema: an empty field for minutes", "slow_cinema"),
        ("慢电影，空旷的田野", "slow_cinema"),
        ("Time-lapse of clouds over a city", "time_lapse"),
        ("城市上空云层的延时摄影", "time_lapse"),
        ("The camera slowly pans over a harbour", "pan"),
        ("镜头缓缓推近霓虹灯", "push"),
        ("a hyper-cut of a market", "fast_cutting"),
        ("pixel art knight", "animation"),
    ],
)
def test_a_prompt_asks_for_a_taste(prompt: str, intent: str) -> None:
    assert intent in asked(prompt)


@pytest.mark.parametrize(
    ("prompt", "intent"),
    [
        ("A harbour in the morning light", "noir"),
        ("no film grain, clean picture", "film_grain"),
        ("not handheld, on a tripod", "handheld"),
        ("没有颗粒的清晰画面", "film_grain"),
        ("a black and white cat on a red sofa", "black_and_white"),
        ("黑白相间的斑马线", "black_and_white"),
        ("grains of sand run through fingers", "film_grain"),
        ("a frying pan on the stove", "pan"),
        ("a knight rides home", "night"),
        ("", "noir"),
    ],
)
def test_other_words_do_not(prompt: str, intent: str) -> None:
    assert intent not in asked(prompt)


def term(measurement: str = "camera.shake", points: tuple[tuple[float, float], ...] = ((0, 1), (2, 0))) -> Term:
    return Term(measurement=measurement, points=points, shape="falling", source="made up for a test")


def varied(variant: Variant, *terms: Term) -> tuple[Term, ...]:
    intents = {"shaky": Intent(words={"en": ("shaky",)}, curves={"camera.shake": variant})}
    return tuple(vary({"a.b.c": terms}, intents, {"shaky": "shaky"}).curves["a.b.c"])


def test_a_stretched_curve_tolerates_so_many_times_more() -> None:
    assert varied(Variant(stretch=3), term())[0].points == ((0, 1), (6, 0))


def test_points_replace_the_curve_and_its_shape() -> None:
    changed = varied(Variant(points=((0, 0.2), (1, 1))), term())[0]
    assert (changed.points, changed.shape) == (((0, 0.2), (1, 1)), "rising")


def test_an_excused_measurement_has_no_say() -> None:
    kept = varied(Variant(excused=True), term(), term("camera.jerk"))
    assert [item.measurement for item in kept] == ["camera.jerk"]


def test_other_measurements_stay() -> None:
    assert varied(Variant(stretch=3), term("camera.jerk"))[0] == term("camera.jerk")


def test_without_intents_the_curves_are_the_profiles_own() -> None:
    curves = {"a.b.c": (term(),)}
    assert vary(curves, {}, {}).curves is curves


def test_what_is_wholly_excused_says_why() -> None:
    intents = {"shaky": Intent(words={"en": ("shaky",)}, curves={"camera.shake": Variant(excused=True)})}
    told = vary({"a.b.c": (term(),)}, intents, {"shaky": "shaky"}).excused["a.b.c"]
    assert told == "the prompt asks for shaky (camera.shake), which leaves nothing to judge"


def test_two_intents_add_up() -> None:
    intents = {
        name: Intent(words={"en": (name,)}, curves={"camera.shake": Variant(stretch=2)}) for name in ("one", "two")
    }
    found = vary({"a.b.c": (term(),)}, intents, {"one": "one", "two": "two"})
    assert found.curves["a.b.c"][0].points == ((0, 1), (8, 0))


@pytest.mark.parametrize("given", [{}, {"stretch": 2, "excused": True}, {"points": ((0, 1), (1, 0)), "stretch": 2}])
def test_a_variant_is_one_thing(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="give one of points, stretch, weight, excused"):
        Variant.model_validate(given)


def test_an_unknown_key_lists_the_valid_ones() -> None:
    content = {**load_profile("signal").model_dump(mode="json"), "intents": {"noir": {"word": {"en": ["noir"]}}}}
    with pytest.raises(ConfigError, match="valid keys here: asks, but, curves, words"):
        build(Profile, content, "mine.yaml")


def test_an_intent_that_speaks_of_no_measurement_is_named() -> None:
    profile = load_profile("signal")
    wrong = {"noir": Intent(words={"en": ("noir",)}, curves={"exposure.shadow": Variant(excused=True)})}
    with pytest.raises(ConfigError, match=r"intent noir.*exposure\.shadows"):
        RewardModel(profile.model_copy(update={"intents": wrong}))


def test_the_words_are_part_of_what_identifies_a_score() -> None:
    profile = load_profile("signal")
    other = {**profile.intents, "noir": profile.intents["noir"].model_copy(update={"words": {"en": ("noir",)}})}
    assert profile.model_copy(update={"intents": other}).hash != profile.hash


# --- through the whole reward ---


@pytest.fixture(scope="module")
def reward() -> RewardModel:
    return RewardModel.from_profile("signal", workers=1)


def test_shake_is_no_fault_where_it_is_asked_for(reward: RewardModel) -> None:
    at = reward.dimensions.index("cinematography.pacing.movement_rationality")
    frames = FAULTS["shaken"](scene(1.5, seed=2), 0.6)
    plain, held = reward([clip(frames, prompt="a harbour"), clip(frames, prompt="a harbour, handheld")]).values[:, at]
    assert held > plain + 0.1


def test_the_reason_says_what_was_asked_for(reward: RewardModel) -> None:
    name = "cinematography.pacing.movement_rationality"
    told = reward([clip(scene(1.5, seed=2), prompt="a harbour, handheld")]).reason(0, name)
    assert "the prompt asks for handheld (camera.shake, camera.jerk)" in told


def test_a_move_that_is_asked_for_and_missing_scores_lower(reward: RewardModel) -> None:
    frames = scene(1.5, seed=2, move="pan")
    name = "cinematography.pacing.movement_rationality"
    at = reward.dimensions.index(name)
    clips = [clip(frames, prompt=prompt) for prompt in ("a harbour", "zoom in on a harbour", "pan across a harbour")]
    plain, push, pan = reward(clips).values[:, at]
    assert push < pan - 0.2
    assert pan == pytest.approx(plain, abs=0.02)


def test_all_clips_of_a_prompt_have_the_same_status(reward: RewardModel) -> None:
    prompt = "black and white, handheld"
    batch = reward([clip(scene(1, seed=seed), prompt=prompt) for seed in (0, 1)])
    assert (batch.status[0] == batch.status[1]).all()
    assert Status.SCORED in batch.status


def test_a_picture_without_prompt_is_excused_of_nothing(reward: RewardModel) -> None:
    assert read_intents(Clip("a.mp4").prompt, reward.profile.intents) == {}
