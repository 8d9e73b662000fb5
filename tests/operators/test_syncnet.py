"""SyncNet's operator: planted offsets, speakers and cheats; the logic is the operator's own, the network is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cinereward import Clip, weights
from cinereward.errors import OperatorError, WeightsError
from cinereward.networks import running
from cinereward.networks.running import note
from cinereward.networks.syncnet import build
from cinereward.operators.syncnet import LipSync
from cinereward.testing import OperatorConformance, clip, measure, scene
from cinereward.testing.faults import noisy
from cinereward.testing.tiny_syncnet import TINY, random_syncnet, tiny_syncnet
from cinereward.types import Evidence

from .planted_lips import SECONDS, Reader, Talker, detector, film, judged, speaker, still, values
from .planted_speech import RATE, voice

torch = pytest.importorskip("torch")
FRAME = 40.0  # ms: the step at which offsets are looked for
TALKS = Talker(says=speaker())
STILL = Talker(says=still)


@cache
def clean() -> Evidence:
    return judged(TALKS, sound=voice(SECONDS))


# --- with the true architecture and weights from files ---


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))
    running.forget()
    yield tmp_path
    running.forget()


@cache
def tiny() -> Any:
    return build({name: torch.from_numpy(value) for name, value in random_syncnet(0, TINY).items()}, "cpu")


class TestConforms(OperatorConformance):
    def operator(self) -> Any:
        return LipSync(network=tiny(), faces=detector(Talker(says=still, x=40, side=30.0)))

    def clips(self) -> Sequence[Clip]:
        takes = [scene(1.1, size=(64, 96), seed=1, grain=1), scene(0.9, size=(72, 64), seed=2), scene(0.7, fps=12)]
        sounds = [voice(2.0, seed)[RATE // 4 :] for seed in range(3)]
        return [
            clip(take, fps, audio=sound, sample_rate=RATE, clip_id=f"clip {n}")
            for n, (take, sound, fps) in enumerate(zip(takes, sounds, (24.0, 30.0, 12.0), strict=True))
        ]

    def test_its_clips_reach_the_network(self) -> None:
        """Else the other checks would hold of nothing."""
        assert all(values(measure(self.operator(), video))["confidence"] > 0 for video in self.clips())


def test_both_networks_are_loaded_from_files(home: Path) -> None:
    pytest.importorskip("insightface")
    from cinereward.testing.tiny_faces import tiny_faces

    weights.add("syncnet", tiny_syncnet(home / "syncnet"), own=True)
    for name, path in tiny_faces(home / "faces").items():
        weights.add(name, path, own=True)
    found = measure(LipSync("cpu"), film(TALKS, sound=voice(1.0), seconds=1.0))
    assert found.operator == "syncnet"
    assert set(LipSync.spec.weights) == {"syncnet", "scrfd-10g", "arcface-r50", "landmarks-106"}


def test_without_weights_it_tells_the_command(home: Path) -> None:
    with pytest.raises(WeightsError, match="cinereward weights"):
        LipSync("cpu")


# --- offsets ---


def test_what_is_in_step_is_told_to_be() -> None:
    found = values(clean())
    assert found["offset"] == 0
    assert found["confidence"] > 4
    assert found["late"] + found["early"] < 10
    assert found["share"] > 0.95


@pytest.mark.parametrize("fps", [12.0, 24.0, 25.0, 30.0, 60.0])
def test_a_mouth_that_leads_by_120_ms_is_found_within_a_step(fps: float) -> None:
    found = values(judged(Talker(says=speaker(0.12)), sound=voice(SECONDS), fps=fps))
    assert found["offset"] == pytest.approx(120, abs=FRAME)
    assert found["late"] == pytest.approx(120, abs=FRAME)
    assert found["early"] < 5


@pytest.mark.parametrize("lead", [-0.28, -0.12, 0.2, 0.4])
def test_an_offset_is_told_with_its_sign(lead: float) -> None:
    found = values(judged(Talker(says=speaker(lead)), sound=voice(SECONDS)))
    assert found["offset"] == pytest.approx(1e3 * lead, abs=FRAME)
    assert found["late"] - found["early"] == pytest.approx(1e3 * lead, abs=FRAME)


def test_an_offset_that_comes_after_a_cut_is_told_with_its_time() -> None:
    before, after = speaker(), speaker(0.2)
    jumps = Talker(says=lambda t: before(t) if t < 3 else after(t))
    found = judged(jumps, sound=voice(SECONDS), cut=3.0)
    track = found["late_track"]
    assert track.times is not None
    late = np.asarray(track.value)
    assert late[track.times >= 3 - FRAME / 1e3].min() > 150
    assert late[track.times < 3 - FRAME / 1e3].max() < 50
    assert np.abs(track.times - 3).min() <= FRAME / 1e3


# --- who speaks ---


def test_of_two_faces_the_one_that_speaks_is_the_speaker() -> None:
    for places in ((40, 130), (130, 40)):
        one, other = Talker(says=speaker(0.12), x=places[0]), Talker(says=still, x=places[1], side=44.0)
        found = values(judged(one, other, sound=voice(SECONDS)))
        assert found["offset"] == pytest.approx(120, abs=FRAME)
        assert found["share"] > 0.95


def test_faces_that_take_turns_are_both_followed() -> None:
    says = speaker()
    one = Talker(says=lambda t: says(t) if t < 3 else 0.5, x=40)
    other = Talker(says=lambda t: 0.5 if t < 3 else says(t), x=130)
    found = values(judged(one, other, sound=voice(SECONDS), cut=3.0))
    assert found["confidence"] > 4
    assert found["share"] > 0.95


def test_faces_whose_sounds_were_swapped_agree_with_none() -> None:
    swapped = values(judged(Talker(says=speaker(seed=4)), sound=voice(SECONDS)))
    assert swapped["confidence"] < 0.3 * values(clean())["confidence"]
    assert swapped["share"] < 0.1
    assert swapped["late"] + swapped["early"] > 100


# --- cheats ---


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("says", [still, speaker(seed=4), speaker()])
def test_more_faces_raise_no_score(says: Any, count: int) -> None:
    alone = values(judged(Talker(says=says, x=30), sound=voice(SECONDS)))
    beside = [Talker(says=still, x=30 + 50 * n) for n in range(1, count)]
    found = values(judged(Talker(says=says, x=30), *beside, sound=voice(SECONDS)))
    assert found["confidence"] <= alone["confidence"] + 1e-6
    assert found["share"] <= alone["share"] + 1e-6


def test_the_best_of_many_that_do_not_speak_is_no_speaker() -> None:
    gains = []
    for seed in range(4, 7):
        strangers = [Talker(says=speaker(seed=10 * n + seed), x=30 + 50 * n) for n in range(3)]
        alone = values(judged(strangers[0], sound=voice(SECONDS)))["confidence"]
        gains.append(values(judged(*strangers, sound=voice(SECONDS)))["confidence"] - alone)
    assert np.mean(gains) < 0.5


CHEATS: dict[str, tuple[Talker, ...]] = {
    "no face": (),
    "a still face": (STILL,),
    "two still faces": (Talker(says=still, x=40), Talker(says=still, x=130)),
    "a tiny face": (Talker(says=speaker(), side=9.0),),
    "a face of 3 pixels": (Talker(says=speaker(), side=3.0),),
    "a face only in the first frame": (Talker(says=speaker(), there=lambda t: t == 0),),
    "somebody else's face": (Talker(says=speaker(seed=4)),),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_is_worse_in_every_number(cheat: str) -> None:
    found, good = judged(*CHEATS[cheat], sound=voice(SECONDS)), values(clean())
    told = values(found)
    assert told["confidence"] < 0.3 * good["confidence"]
    assert told["share"] < 0.1
    assert told["distance"] > good["distance"] + 2
    assert min(told["late"], told["early"]) > 50
    if not CHEATS[cheat] or "pixels" in cheat or "tiny" in cheat:
        assert found["confidence"].note


def test_a_face_for_half_of_the_speech_covers_half_of_it() -> None:
    half = values(judged(Talker(says=speaker(), there=lambda t: t < SECONDS / 2), sound=voice(SECONDS)))
    assert half["share"] == pytest.approx(0.5, abs=0.12)
    assert half["confidence"] > 3


# --- what may be wrong with a clip ---


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_five_frames_or_fewer_are_answered(frames: int) -> None:
    found = judged(TALKS, sound=voice(SECONDS), seconds=frames / 25)
    assert values(found)["confidence"] == 0
    assert "SyncNet needs 6 pictures" in found["confidence"].note


@pytest.mark.parametrize(
    ("sound", "told"),
    [
        (None, "no sound"),
        (np.zeros(4 * RATE, np.float32), "silence"),
        (np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32), "no speech"),
    ],
)
def test_without_speech_there_is_a_lack_that_is_told(sound: Any, told: str) -> None:
    found = judged(TALKS, sound=sound)
    assert values(found)["confidence"] == values(found)["share"] == 0
    assert told in found["confidence"].note
    assert np.isnan(float(found["offset"].value))


def test_sound_that_ends_early_is_judged_as_far_as_it_goes() -> None:
    found = values(judged(Talker(says=speaker(0.12)), sound=voice(SECONDS)[: 3 * RATE]))
    assert found["offset"] == pytest.approx(120, abs=FRAME)
    assert found["share"] > 0.9


def test_small_and_rare_pictures_raise_the_doubt() -> None:
    sure = clean()["confidence"].std
    assert judged(Talker(says=speaker(), side=24.0), sound=voice(SECONDS))["confidence"].std > 1.5 * sure
    assert judged(TALKS, sound=voice(SECONDS), fps=8.0)["confidence"].std > 1.2 * sure


def test_noise_in_the_picture_leaves_the_offset() -> None:
    shown = film(Talker(says=speaker(0.12)), sound=voice(SECONDS))
    grainy = clip(noisy(np.asarray(shown.video), 10), 25.0, audio=voice(SECONDS), sample_rate=RATE)
    operator = LipSync(network=Reader(), faces=detector(TALKS))
    assert values(measure(operator, grainy))["offset"] == pytest.approx(120, abs=FRAME)


def test_a_crowd_costs_no_more_than_its_three_largest_faces() -> None:
    asked = []

    class Counting(Reader):
        def lips(self, pictures: Any) -> Any:
            asked.append(len(pictures))
            return super().lips(pictures)

    crowd = [Talker(says=still, x=20.0 + n % 150, side=20.0 + n / 50) for n in range(200)]
    operator = LipSync(network=Counting(), faces=detector(*crowd))
    found = measure(operator, film(STILL, sound=voice(2.0), seconds=2.0))
    assert 0 < sum(asked) <= 3 * 50
    assert values(found)["share"] < 0.5


def test_numbers_that_are_not_finite_are_no_score() -> None:
    class Overflowing(Reader):
        def lips(self, pictures: Any) -> Any:
            return super().lips(pictures) * np.float32(np.inf)

    operator = LipSync(network=Overflowing(), faces=detector(TALKS))
    with pytest.raises(OperatorError, match="not finite"), np.errstate(invalid="ignore"):
        measure(operator, film(TALKS, sound=voice(2.0), seconds=2.0))


def test_what_befell_the_network_is_told() -> None:
    class Noting(Reader):
        def sounds(self, cepstra: Any, pictures: Any) -> Any:
            note("syncnet: cuda ran out of memory")
            return super().sounds(cepstra, pictures)

    operator = LipSync(network=Noting(), faces=detector(TALKS))
    found = measure(operator, film(TALKS, sound=voice(2.0), seconds=2.0))
    assert found.notes == ("syncnet: cuda ran out of memory",)
