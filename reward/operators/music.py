"""Music: is there any, what is its tempo, and do the cuts of the picture fall on its accents and beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cinereward.media.hops import pieces
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Sound, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.generic]
    Float64 = NDArray[np.float64]

RATE = 16_000
FFT, HOP = 512, 160  # 32 ms every 10 ms, for accents
STEP = HOP / RATE
BANDS = (1, 3, 6, 10, 16, 26, 42, 70, 120)  # first bin of each, of 31 Hz
WEIGHTS = np.array([2, 2, 1.5, 1.2, 1, 1, 0.8, 0.6, 0.4]) / 9  # the drum and the bass carry the beat, not the hi-hat
GAIN = 9.0  # of the logarithm: how much soft accents count beside loud ones
DELAY = 0.01  # seconds from an accent to the hop that shows it, beside the hop itself
SHARP = 0.025  # seconds; a cut this far from an accent is still on it
LONG_FFT, LONG_HOP = 2048, 1280  # 128 ms every 80 ms, for pitches
FIRST, WIDTH = 3, 520  # the first of its bins that is kept, and how many: to 4.1 kHz
LOCAL = 21  # bins (160 Hz) that a line stands out of
STANDS_OUT = 5.0  # dB
FLOOR = -110.0  # dB of a sine of full scale; lower is this
SPAN = 31  # of its pieces: 2.5 s in which a pitch is held or not
STRONGEST = 5  # lines that make music of a sound
HUM = 0.95  # of all pieces: a line held this long is no note
HELD = 0.5  # of a span that a line stands out, for its energy to be that of held notes
MOSTLY = 0.5  # of the energy in held notes is as good as all of it: drums and voices have theirs
BEAT, OCTAVES = 0.55, 0.55  # seconds between beats that are usual, and by how much they vary
SHORTEST, LONGEST = 0.25, 1.5  # seconds between beats
TIGHT = 100.0  # how much a steady beat is worth beside strong accents
CLEAR, PLAIN = 0.2, 0.6  # pulse from which a beat is believed, and from which it is beyond doubt
CHUNK = 1024  # pieces looked at at a time
TRUST = 0.6  # how much a plain beat counts beside the accents themselves
UNCUT = 0.55  # alignment without a cut: no merit, and more than cuts anywhere, which nobody is to add
DOUBT = 0.2  # what one cut, or none, leaves open


class Music:
    """Accents every 10 ms, spectral lines every 80 ms, and thumbnails for the cuts."""

    spec = OperatorSpec(
        name="music",
        needs=frozenset({"frames", "sound"}),
        measurements=(
            MeasurementSpec(
                name="presence", unit="share", low=0, high=1, meaning="how far pitches are held, and carry the sound"
            ),
            MeasurementSpec(name="tempo", unit="beats / min", low=40, high=240, meaning="beats of the music a minute"),
            MeasurementSpec(
                name="pulse", unit="share", low=0, high=1, meaning="how alike the accents are one beat later"
            ),
            MeasurementSpec(
                name="alignment",
                unit="share",
                low=0,
                high=1,
                meaning="how near the cuts lie to accents and beats; 0.5 is chance",
            ),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Band levels and lines of each window's sound, and its thumbnails."""
        return [
            Partial(
                times=owned(window.times, window.overlap),
                fps=window.fps,
                tracks={"thumbs": owned(window.features["thumbs"], window.overlap)},
                sounds=heard(window.sound),
            )
            for window in windows
        ]

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Presence, tempo, pulse and alignment over the running time."""
        tracks = join(partials)
        running = float(tracks.times[-1]) + 1 / tracks.fps
        held = holding(tracks["lines"], running)
        accents = accent_strength(tracks["bands"][: round(running / STEP)])
        period, pulse = beat_period(accents)
        cuts = np.array([shot.start for shot in tracks.shots()[1:]])
        near = np.zeros(len(cuts)) if period is None else nearness(cuts, accents, period, pulse)
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {
                    "presence": np.mean(held) if len(held) else 0.0,
                    "tempo": _tempo(period),
                    "pulse": pulse,
                    "alignment": _alignment(near, heard=period is not None),
                },
                {
                    "presence_track": ((np.arange(len(held)) + 0.5) * running / max(1, len(held)), held),
                    "alignment_track": (cuts, near),
                },
            ),
        )


def _tempo(period: float | None) -> Measurement:
    if period is None:
        return Measurement(name="tempo", value=np.nan, unit="beats / min", note="no accents are heard")
    return Measurement(name="tempo", value=60 / period, unit="beats / min")


def _alignment(near: Float64, *, heard: bool) -> Measurement:
    """The mean over the cuts, drawn towards chance where they are few: one cut may fall on a beat by luck."""
    if not heard:
        return Measurement(name="alignment", value=0.0, unit="share", note="no accents are heard")
    count = len(near)
    value = 0.5 + (float(np.mean(near)) - 0.5) * count / (count + 1) if count else UNCUT
    note = "" if count else "the clip has no cuts; nothing tells picture and music apart"
    return Measurement(name="alignment", value=value, unit="share", std=DOUBT / (1 + count), note=note)


def heard(sound: Sound | None) -> dict[str, Array]:
    """What is kept of a stretch of sound.

    Returns:
        bands: float32 (N, 9), power of each band every 10 ms. lines: uint8 (K, 520), half dB above FLOOR of the
        spectrum from 20 Hz to 4.1 kHz, every 80 ms.
    """
    if sound is None:
        return {"bands": np.zeros((0, len(BANDS)), np.float32), "lines": np.zeros((0, WIDTH), np.uint8)}
    short = np.abs(np.fft.rfft(pieces(sound, HOP, FFT) * np.hanning(FFT).astype(np.float32), axis=1)) / (FFT / 4)
    long = np.abs(np.fft.rfft(pieces(sound, LONG_HOP, LONG_FFT) * np.hanning(LONG_FFT).astype(np.float32), axis=1))
    level = 20 * np.log10(np.maximum(long[:, FIRST : FIRST + WIDTH] / (LONG_FFT / 4), 10 ** (FLOOR / 20)))
    return {
        "bands": np.asarray(np.add.reduceat(short**2, BANDS, axis=1), np.float32),
        "lines": np.clip(np.round(2 * (level - FLOOR)), 0, 255).astype(np.uint8),
    }


def holding(lines: NDArray[np.uint8], running: float) -> Float64:
    """How far pitches are held and carry the sound, a share for every quarter span of the running time.

    Notes are held and then change; speech glides, noise flickers, and hum never changes. The geometric mean of how long
    the five steadiest pitches are held and of the part of the energy that held pitches have.
    Source: "Automatic music detection in television productions", Seyerlehner, Pohle, Schedl & Widmer, DAFx 2007.

    Args:
        lines: uint8 (K, 520), of `heard`. running: s.
    """
    count = max(1, round(running * RATE / LONG_HOP))
    lines = lines[:count]
    if not len(lines):
        return np.zeros(1)
    stands = np.concatenate([_stands_out(lines[at : at + CHUNK]) for at in range(0, len(lines), CHUNK)])
    stands = np.pad(stands, ((0, count - len(stands)), (0, 0)))
    level = np.pad(lines[:, LOCAL // 2 : -(LOCAL // 2)], ((0, count - len(lines)), (0, 0)))
    hum = stands.mean(axis=0) >= HUM if count >= 2 * SPAN else np.zeros(stands.shape[1], np.bool_)
    starts = range(0, max(1, count - SPAN + 1), SPAN // 4)
    spans = [_held(stands[at : at + SPAN], level[at : at + SPAN], hum) for at in starts]
    return np.array(spans) * min(1.0, count / SPAN)


def _stands_out(lines: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the spectrum (K, 520) is louder than around it; bool (K, 500)."""
    around = sliding_window_view(np.cumsum(np.pad(lines, ((0, 0), (1, 0))), axis=1, dtype=np.int64), LOCAL + 1, axis=1)
    local = (around[..., -1] - around[..., 0]) / LOCAL
    return np.asarray(lines[:, LOCAL // 2 : -(LOCAL // 2)] - local > 2 * STANDS_OUT)


def _held(stands: NDArray[np.bool_], level: NDArray[np.uint8], hum: NDArray[np.bool_]) -> float:
    """One span of `holding`: stands and level (k, 500), hum (500,)."""
    active = np.where(hum, 0.0, stands.mean(axis=0))
    reach = LOCAL // 2
    valleys = sliding_window_view(np.pad(active, reach, mode="edge"), reach).min(axis=1)
    rises = active - np.maximum(valleys[: len(active)], valleys[reach + 1 :])
    steady = float(np.mean(np.sort(rises)[-STRONGEST:]))
    power = (10 ** (level / 20) - 1) * np.maximum(
        (FIRST + reach + np.arange(len(active))) / 128, 0.1
    )  # 128 bins: 1 kHz
    share = float((power * stands)[:, active >= HELD].sum() / max(float(power.sum()), 1e-9))
    return float(np.sqrt(steady * min(1.0, share / MOSTLY)))


def accent_strength(bands: NDArray[np.float32]) -> Float64:
    """How much louder the bands get within 20 ms, the low ones before the high ones; (N,), one value every 10 ms.

    Source: "Evaluating the online capabilities of onset detection methods", Boeck, Krebs & Schedl, ISMIR 2012.
    """
    if len(bands) < 3 or not np.any(bands):
        return np.zeros(len(bands))
    power = bands.astype(np.float64)
    loud = np.quantile(power, 0.9, axis=0)
    level = np.log1p(GAIN * power / np.maximum(np.maximum(loud, 0.003 * loud.sum()), 1e-9))
    rise = np.maximum(level[2:] - level[:-2], 0) @ WEIGHTS
    return np.concatenate([np.zeros(2), rise])


def beat_period(accents: Float64) -> tuple[float | None, float]:
    """Seconds from beat to beat, and how alike the accents are one beat later, from 0 to 1; None: there are none.

    The lag at which the accents are most like themselves, nearer to a usual tempo before others.
    Source: "Beat tracking by dynamic programming", Ellis, Journal of New Music Research, 2007.
    """
    count = len(accents)
    lags = np.arange(round(SHORTEST / STEP), min(count // 2, round(LONGEST / STEP) + 1))
    if not len(lags) or float(np.std(accents)) < 1e-6:
        return None, 0.0
    spectrum = np.fft.rfft(accents - accents.mean(), 2 * count)
    alike = np.fft.irfft(np.abs(spectrum) ** 2)[:count]
    alike = alike[lags] / alike[0] * count / (count - lags)
    usual = np.exp(-0.5 * (np.log2(lags * STEP / BEAT) / OCTAVES) ** 2)
    best = int(np.argmax(alike * usual))
    return float(lags[best] * STEP), float(np.clip(alike[best], 0, 1))


def track_beats(accents: Float64, period: float) -> Float64:
    """Times of the beats, in s: strong accents at nearly even distances.

    Source: Ellis, as above.
    """
    strength = _blurred(accents, 0.02)
    strength = strength / max(float(np.std(strength)), 1e-9)
    hops = period / STEP
    back = np.arange(round(hops / 2), round(2 * hops) + 1)
    cost = -TIGHT * np.log(back / hops) ** 2
    best, before = strength.copy(), np.full(len(strength), -1)
    for now in range(int(back[0]), len(strength)):
        reach = min(len(back), now - int(back[0]) + 1)
        worth = best[now - back[:reach]] + cost[:reach]
        choice = int(np.argmax(worth))
        if worth[choice] > 0:
            best[now], before[now] = strength[now] + worth[choice], now - back[choice]
    last = max(1, round(hops))
    at = len(best) - 1 - int(np.argmax(best[::-1][:last]))
    beats = []
    while at >= 0:
        beats.append(at)
        at = int(before[at])
    return hop_times(len(strength))[beats[::-1]]


def hop_times(count: int) -> Float64:
    """When the accent sounded that each hop shows, in s from the clip's first frame."""
    return np.asarray(np.arange(1, count + 1) * STEP - 2 * DELAY, np.float64)


def nearness(cuts: Float64, accents: Float64, period: float, pulse: float) -> Float64:
    """How near each cut (N,) lies to an accent, and to a beat where there is a plain one: 0 to 1, by chance about 0.5.

    Accents are compared with the mean over the clip, so that a cut amid many accents is worth no more than chance.
    """
    if not len(cuts):
        return np.zeros(0)
    times = hop_times(len(accents))
    blurred = _blurred(accents, SHARP)
    strength = np.max(sliding_window_view(np.pad(blurred, 1, mode="edge"), 3), axis=1)
    inner = blurred[1:-1]
    peaks = inner[(inner > blurred[:-2]) & (inner >= blurred[2:])]
    strong = float(np.quantile(peaks, 0.8)) if len(peaks) else float(strength.max())
    usual = float(strength.mean())
    here = np.interp(cuts, times, strength)
    on_accent = 0.5 + 0.5 * np.clip((here - usual) / max(strong - usual, 1e-9), -1, 1)
    beats = track_beats(accents, period)
    if len(beats) < 3:
        return np.asarray(on_accent)
    between = (beats[1:] + beats[:-1]) / 2
    ground = float(blurred.min())
    at_beats, halfway = (float(np.interp(at, times, strength).mean()) - ground for at in (beats, between))
    equal = float(np.clip(halfway / max(at_beats, 1e-9), 0, 1)) ** 2  # an accent halfway may be a beat as well
    on_beat = np.maximum(_triangle(cuts, beats, period / 2), equal * _triangle(cuts, between, period / 4))
    trust = TRUST * float(np.clip((pulse - CLEAR) / (PLAIN - CLEAR), 0, 1))
    return np.asarray(trust * on_beat + (1 - trust) * on_accent)


def _triangle(times: Float64, targets: Float64, width: float) -> Float64:
    """1 on a target, 0 from `width` seconds away on."""
    far = np.abs(times[:, None] - targets[None]).min(axis=1)
    return np.asarray(np.clip(1 - far / width, 0, 1))


def _blurred(values: Float64, sigma: float) -> Float64:
    """Gaussian of `sigma` seconds over hops, the ends repeated."""
    reach = max(1, round(4 * sigma / STEP))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP / sigma) ** 2)
    return np.convolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), "valid")
