"""Sound: on the pictures' clock, of true pitch and level, the same however it is cut and wherever it comes from."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from cinereward.media import open_clip
from cinereward.media.sound import LEAD, RATE, TAIL
from cinereward.types import Clip

from .conftest import refusal, sound_of, windows_of
from .making import H264, LOSSLESS, VP9, Kind, moving, tone, write

FRAMES = moving(24, 32, 32)  # one second
EXACT: Kind = {**LOSSLESS, "sound_codec": "pcm_f32le"}
FLAC: Kind = {**LOSSLESS, "sound_codec": "flac"}


def noise(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    raw = np.random.default_rng(5).uniform(-0.9, 0.9, (channels, round(seconds * rate)))
    return raw.astype(np.float32)


@pytest.mark.parametrize("length", [1, 2, 5, 24])
@pytest.mark.parametrize("rate", [8_000, 48_000, 44_100])
def test_stretches_put_together_are_the_whole_sound(length: int, rate: int, out: Path) -> None:
    path = write(out / "a.mkv", FRAMES, sound=noise(1, rate, 2), sound_rate=rate, **EXACT)
    for cut, whole in zip(sound_of(path, length), sound_of(path, 100), strict=True):
        np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_an_arrays_sound_is_that_of_the_lossless_file(rate: int, channels: int, out: Path) -> None:
    sound = noise(1, rate, channels)
    from_file = sound_of(write(out / "a.mkv", FRAMES, sound=sound, sound_rate=rate, **EXACT))
    from_array = sound_of(FRAMES, fps=24, audio=sound, sample_rate=rate)
    for a, b in zip(from_file, from_array, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_original_is_what_the_file_holds(out: Path) -> None:
    sound = noise(1, 44_100, 2)
    _, original = sound_of(write(out / "a.mkv", FRAMES, sound=sound, sound_rate=44_100, **EXACT))
    np.testing.assert_array_equal(original, sound)


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_pitch_and_level_survive_resampling(rate: int, out: Path) -> None:
    path = write(out / "a.mkv", FRAMES, sound=tone(1, rate, 440, level=0.5), sound_rate=rate, **FLAC)
    mono, _ = sound_of(path)
    spectrum = np.abs(np.fft.rfft(mono[:RATE]))
    assert np.argmax(spectrum) == 440
    assert spectrum[440] / (RATE / 2) == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_the_mono_mix_of_equal_channels_is_as_loud_as_one(channels: int) -> None:
    mono, original = sound_of(FRAMES, fps=24, audio=tone(1, 16_000, channels=channels), sample_rate=16_000)
    np.testing.assert_allclose(mono, original[0], atol=1e-5)


def test_what_is_above_8_khz_is_not_folded_down(out: Path) -> None:
    mono, _ = sound_of(FRAMES, fps=24, audio=tone(1, 48_000, 11_000), sample_rate=48_000)
    assert np.abs(mono[1000:-1000]).max() < 0.01


CLICKS = [("mp4", {**H264, "sound_codec": "aac"}), ("mkv", FLAC), ("webm", {**VP9, "sound_codec": "libopus"})]
CLICKS += [("ts", {**H264, "sound_codec": "aac"}), ("mp4", {**H264, "sound_codec": "libmp3lame"})]


@pytest.mark.parametrize("late", [0.0, 0.25])
@pytest.mark.parametrize(("ending", "kind"), CLICKS, ids=lambda value: str(value)[-18:])
def test_a_click_is_heard_when_it_sounds(ending: str, kind: Kind, late: float, out: Path) -> None:
    click = np.zeros((1, 36_000), np.float32)
    click[0, 24_000:24_004] = 0.9
    path = write(out / f"a.{ending}", FRAMES, sound=click, sound_start=late, **kind)
    mono, original = sound_of(path)
    assert np.argmax(np.abs(mono)) / RATE == pytest.approx(0.5 + late, abs=2e-3)
    assert np.argmax(np.abs(original[0])) / 48_000 == pytest.approx(0.5 + late, abs=2e-3)


def test_sound_that_starts_late_is_padded_with_silence(out: Path) -> None:
    mono, _ = sound_of(write(out / "a.mkv", FRAMES, sound=tone(0.5, 48_000), sound_start=0.4, **FLAC))
    assert np.abs(mono[: round(0.39 * RATE)]).max() == 0
    assert len(mono) == round(0.9 * RATE)


def test_sound_before_the_first_picture_is_left_out(out: Path) -> None:
    sound = np.concatenate([tone(0.5, 48_000), np.zeros((1, 24_000), np.float32)], axis=1)
    path = write(out / "a.mkv", FRAMES, stamps=[0.5 + t / 24 for t in range(24)], sound=sound, **FLAC)
    mono, _ = sound_of(path)
    assert len(mono) == RATE / 2 and np.abs(mono[200:]).max() < 1e-3


def test_a_hole_in_the_sounds_clock_is_silence(out: Path) -> None:
    path = write(out / "a.mkv", FRAMES, sound=tone(1, 48_000), sound_rate=48_000, **EXACT)
    with av.open(str(path)) as source, av.open(str(out / "b.mkv"), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            lost = (
                packet.stream.type == "audio" and packet.pts is not None and 0.3 < packet.pts * packet.time_base < 0.6
            )
            if packet.size and not lost:
                packet.stream = streams[packet.stream_index]
                copy.mux(packet)
    mono, _ = sound_of(out / "b.mkv")
    assert len(mono) == pytest.approx(RATE, abs=20)
    assert np.abs(mono[round(0.35 * RATE) : round(0.55 * RATE)]).max() == 0


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.0, 14.0])
def test_sound_ends_where_it_ends_or_after_the_tail(seconds: float) -> None:
    mono, original = sound_of(FRAMES, fps=24, audio=tone(seconds, 16_000), sample_rate=16_000)
    assert len(mono) == original.shape[1] == round(min(seconds, 1 + TAIL) * RATE)


def test_stretches_keep_step_with_the_pictures() -> None:
    for window in windows_of(FRAMES, 5, sound=True, fps=24, audio=tone(1, 16_000), sample_rate=16_000)[:-1]:
        assert window.sound is not None
        assert window.sound.start == pytest.approx(window.times[window.overlap], abs=1 / RATE)
        assert len(window.sound.samples) - LEAD == pytest.approx(5 / 24 * RATE, abs=1)


def test_the_lead_is_what_came_before() -> None:
    whole, _ = sound_of(FRAMES, 100, fps=24, audio=noise(1, 16_000), sample_rate=16_000)
    padded = np.concatenate([np.zeros(LEAD, np.float32), whole])
    for window in windows_of(FRAMES, 1, sound=True, fps=24, audio=noise(1, 16_000), sample_rate=16_000):
        assert window.sound is not None
        at = round(window.sound.start * RATE)
        np.testing.assert_array_equal(window.sound.samples[:LEAD], padded[at : at + LEAD])


@pytest.mark.parametrize("channels", [3, 5, 6, 8])
def test_channels_without_names_are_read(channels: int, out: Path) -> None:
    """A WAV of the old header names no channels. PyAV reads past the end of eight planes: packed samples avoid it."""
    with wave.open(str(out / "a.wav"), "wb") as file:
        file.setparams((channels, 2, 16_000, 0, "NONE", ""))
        file.writeframes((tone(1, 16_000, channels=channels).T * 32767).astype("<i2").tobytes())
    picture = write(out / "a.mkv", FRAMES, **LOSSLESS)
    with av.open(str(out / "b.mkv"), "w") as copy, av.open(str(picture)) as v, av.open(str(out / "a.wav")) as a:
        for source, stream in [(s, copy.add_stream_from_template(s.streams[0])) for s in (v, a)]:
            for packet in source.demux():
                if packet.size:
                    packet.stream = stream
                    copy.mux(packet)
    mono, original = sound_of(out / "b.mkv")
    assert original.shape == (channels, 16_000)
    assert np.abs(mono).max() == pytest.approx(0.5, abs=0.01)


def test_a_clip_without_sound_has_none(out: Path) -> None:
    assert windows_of(write(out / "a.mkv", FRAMES, **LOSSLESS), sound=True)[0].sound is None


def test_sound_nobody_listens_to_is_not_decoded(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(out / "a.mkv", FRAMES, sound=tone(1, 48_000), **FLAC)
    monkeypatch.setattr("cinereward.media.sound._decoded", lambda source: pytest.fail("the sound was decoded"))
    assert windows_of(path)[0].sound is None


def test_given_sound_overrides_the_files_own(out: Path) -> None:
    path = write(out / "a.mkv", FRAMES, sound=tone(1, 48_000), **FLAC)
    mono, _ = sound_of(path, audio=np.zeros(16_000, np.float32), sample_rate=16_000)
    assert np.abs(mono).max() == 0


def test_windows_may_be_read_twice() -> None:
    reader = open_clip(Clip(FRAMES, fps=24, audio=noise(1, 16_000), sample_rate=16_000), sound=True)
    first, second = (next(reader.windows(5)).sound for _ in range(2))
    assert first is not None and second is not None
    np.testing.assert_array_equal(first.samples, second.samples)


@pytest.mark.parametrize("form", ["tensor", "half", "flat", "float64"])
def test_every_form_of_sound_is_read(form: str) -> None:
    sound = tone(1, 16_000)
    given: Any = {
        "tensor": torch.from_numpy(sound),
        "half": torch.from_numpy(sound).half(),
        "flat": sound[0],
        "float64": sound.astype(np.float64),
    }[form]
    mono, _ = sound_of(FRAMES, fps=24, audio=given, sample_rate=16_000)
    np.testing.assert_allclose(mono, sound[0], atol=1e-3 if form == "half" else 1e-6)


def test_given_sound_is_never_modified() -> None:
    sound = noise(1, 44_100, 2)
    before = sound.copy()
    sound_of(FRAMES, fps=24, audio=sound, sample_rate=44_100)
    np.testing.assert_array_equal(sound, before)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no rate": ({"audio": tone(1, 16_000)}, "sample_rate"),
    "a rate of 0": ({"audio": tone(1, 16_000), "sample_rate": 0}, "sample_rate"),
    "a rate in words": ({"audio": tone(1, 16_000), "sample_rate": "fast"}, "sample_rate"),
    "a rate that is infinite": ({"audio": tone(1, 16_000), "sample_rate": float("inf")}, "sample_rate"),
    "NaN": ({"audio": np.full(999, np.nan), "sample_rate": 16_000}, "NaN"),
    "the scale of int16": ({"audio": tone(1, 16_000) * 32767, "sample_rate": 16_000}, "[-1, 1]"),
    "int16": ({"audio": np.zeros(999, np.int16), "sample_rate": 16_000}, "int16"),
    "(N, channels)": ({"audio": tone(1, 16_000, channels=2).T, "sample_rate": 16_000}, "transpose"),
    "three axes": ({"audio": np.zeros((1, 1, 999)), "sample_rate": 16_000}, "(channels, N)"),
    "a path": ({"audio": "a.wav", "sample_rate": 16_000}, "expected float"),
}


@pytest.mark.parametrize("name", BAD)
def test_sound_without_a_clear_meaning_is_refused(name: str) -> None:
    fields, says = BAD[name]
    assert says in refusal(lambda: windows_of(FRAMES, sound=True, fps=24, **fields))
