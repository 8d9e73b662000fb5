"""The voice: is anybody speaking, and is it cleanly recorded: overdrive, noise, hum, bandwidth, room.

Everything but `speech` and `hum` is measured where somebody speaks, so that music beside the speech does not count, and
music beneath it counts as what lies beneath it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cinereward.media.originals import grid
from cinereward.media.speech import SPEECH_HOP, speech_probability
from cinereward.operators.recording import CEILING, FALL, bandwidth, hum, overdrive, reverberation, snr, spectra
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

RATE = 16_000  # Hz, of the mono sound
PIECE = SPEECH_HOP / RATE  # s: the detector's step, and the pieces in which overdrive is looked for
SPEAKS = 0.5  # probability from which a piece is speech
LEAST_SPEECH = 8  # pieces; less than a quarter of a second tells nothing of a recording
LEVEL = 0.1  # RMS to which the loudest twentieth is brought: the detector hears less in what is faint
QUIETEST = 1e-5  # RMS of the loudest twentieth under which sound is silence
DIGITAL = LEVEL * 10 ** (-75 / 20)  # amplitude under which there is not even noise: a gate, or a hole
SHORTEST_HOLE = 64  # samples, 4 ms


class Voice:
    """Silero's detector says where somebody speaks; spectra and peaks of those stretches say how it was recorded."""

    spec = OperatorSpec(
        name="voice",
        measurements=(
            MeasurementSpec(
                name="speech", unit="share", low=0, high=1, meaning="part of the running time in which somebody speaks"
            ),
            MeasurementSpec(
                name="clipping",
                unit="% of samples",
                low=0,
                high=100,
                meaning="samples of speech that lie at a ceiling which the loudest moments share",
            ),
            MeasurementSpec(
                name="crest", unit="dB", low=0, high=30, meaning="peak over RMS in the loudest 32 ms pieces of speech"
            ),
            MeasurementSpec(
                name="snr", unit="dB", low=0, high=60, meaning="speech over the floor beneath it, mean of 20 bands"
            ),
            MeasurementSpec(
                name="hum", unit="dB", low=0, high=80, meaning="strongest steady line of the mains over its neighbours"
            ),
            MeasurementSpec(
                name="bandwidth",
                unit="Hz",
                low=0,
                high=8000,
                meaning="how much of the spectrum up to 8 kHz speech fills",
            ),
            MeasurementSpec(
                name="reverberation",
                unit="s",
                low=0,
                high=20,
                meaning="time to fall by 60 dB at the slope of the steepest decays in the speech",
            ),
        ),
        needs=frozenset({"sound"}),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """The sound at 16 kHz as it is, and the peaks of the original in pieces of 32 ms."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        sound = window.sound
        # half precision keeps 66 dB under any level
        samples = np.zeros(0, np.float16) if sound is None else sound.samples[sound.lead :].astype(np.float16)
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={},
            sounds={"samples": samples, "peaks": piece_peaks(window)},
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Find the speech, and measure it.

        Raises:
            WeightsError: the detector's weights are not there.
        """
        tracks = join(partials)
        end = float(tracks.times[-1]) + 1 / tracks.fps
        samples = tracks["samples"][: round(end * RATE)].astype(np.float32)
        loud = loudest(samples)
        probability = np.zeros(0, np.float32)
        if loud > QUIETEST:
            samples *= np.float32(LEVEL / loud)
            probability = speech_probability(samples)
        speaks = probability >= SPEAKS
        share = min(1.0, float(speaks.sum()) * PIECE / end)
        at = np.asarray((np.arange(len(probability)) + 0.5) * PIECE, np.float64)
        peaks = tracks["peaks"][: len(speaks)].astype(np.float64)
        values: dict[str, float | Measurement]
        if speaks[: len(peaks)].sum() < LEAST_SPEECH:
            why = "no sound" if len(tracks["samples"]) == 0 else "silence" if loud <= QUIETEST else "no speech"
            at_ceiling = np.zeros(len(peaks))
            values = {item.name: self._noted(item, 0.0, why) for item in self.spec.measurements}
            values["speech"] = self._noted(self.spec.measurements[0], share, why)
        else:
            clipping, crest, at_ceiling = overdrive(peaks, speaks[: len(peaks)])
            values = {"speech": share, "clipping": 100 * clipping, "crest": crest, **self._recording(samples, speaks)}
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                values,
                {
                    "speech_track": (at, probability.astype(np.float64)),
                    "clipping_track": (at[: len(peaks)], 100 * at_ceiling),
                },
            ),
        )

    def _recording(self, samples: Float32, speaks: Bools) -> dict[str, float | Measurement]:
        """What spectra tell: samples float32 (N,), at level; speaks bool, a piece each."""
        power, fine = spectra(samples, 512, 256), spectra(samples, 256, 128)
        spoken = during(samples, speaks, len(power), 256, 512)
        level = float(np.mean(samples[np.repeat(speaks, SPEECH_HOP)[: len(samples)]] ** 2))
        found = {
            "snr": snr(power, spoken),
            "bandwidth": bandwidth(power, spoken),
            "reverberation": reverberation(fine, during(samples, speaks, len(fine), 128, 256 + FALL * 128)),
            "hum": hum(samples, level),
        }
        values: dict[str, float | Measurement] = dict(found)
        for item in self.spec.measurements:
            if np.isnan(found.get(item.name, 0.0)):
                values[item.name] = self._noted(item, np.nan, f"{len(samples) / RATE:.2f} s of sound; 0.5 s are needed")
        return values

    def _noted(self, item: MeasurementSpec, value: float, note: str) -> Measurement:
        return Measurement(name=item.name, value=value, unit=item.unit, note=note)


def piece_peaks(window: Window) -> Float32:
    """RMS and peaks of the loudest channel in every piece of 32 ms that ends in this window.

    Returns:
        float32 (N, 5): RMS; the highest peak and the lowest, both >= 0; the share of the samples that lies at each.
    """
    ends = grid(window, PIECE)[1]
    if window.sound is None or not len(ends):
        return np.zeros((0, 5), np.float32)
    length = int(PIECE * window.sound.original_rate)
    views = sliding_window_view(window.sound.original, length, axis=1)[:, ends - length].astype(np.float32)
    rms = np.sqrt(np.mean(views**2, axis=2))
    loudest_channel = views[np.argmax(rms, axis=0), np.arange(len(ends))]
    out = np.empty((len(ends), 5), np.float32)
    out[:, 0] = rms.max(axis=0)
    for side, waves in enumerate((loudest_channel, -loudest_channel)):
        peak = np.maximum(waves.max(axis=1), 0)
        out[:, 1 + side] = peak
        out[:, 3 + side] = np.mean(waves >= (1 - CEILING) * peak[:, None], axis=1) * (peak > 0)
    return out


def loudest(samples: Float32) -> float:
    """RMS that a twentieth of the pieces of 32 ms passes; 0 where there is no piece."""
    whole = len(samples) // SPEECH_HOP * SPEECH_HOP
    if not whole:
        return 0.0
    return float(np.sqrt(np.quantile(np.mean(samples[:whole].reshape(-1, SPEECH_HOP) ** 2, axis=1), 0.95)))


def during(samples: Float32, speaks: Bools, count: int, hop: int, size: int) -> Bools:
    """Which of `count` stretches of `size` samples, every `hop`, begin in speech and hold no hole.

    A gate that mutes the pauses, or a dropout, is no low floor and no fast decay. Where no stretch is whole, all that
    begin in speech count.
    """
    first = np.arange(count) * hop
    spoken = np.asarray(speaks[np.minimum((first + hop) // SPEECH_HOP, len(speaks) - 1)])
    whole = len(samples) // SHORTEST_HOLE
    loudest_of = np.abs(samples[: whole * SHORTEST_HOLE]).reshape(whole, SHORTEST_HOLE).max(axis=1, initial=0.0)
    holes = np.concatenate([[0], np.cumsum(loudest_of <= DIGITAL)])
    edges = np.minimum(np.stack([first, first + size]) // SHORTEST_HOLE, whole)
    unbroken = spoken & (holes[edges[1]] == holes[edges[0]])
    return unbroken if unbroken.any() else spoken
