"""Tensors, arrays and images: every form gives the same frames, and what has no clear meaning is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cinereward.media import open_clip
from cinereward.media.intake import find_layout
from cinereward.types import Clip

from .conftest import frames_of, refusal
from .making import LOSSLESS, moving, write

FRAMES = moving(7, 32, 48)
CHW = np.ascontiguousarray(FRAMES.transpose(0, 3, 1, 2))
UNIT = FRAMES.astype(np.float32) / 255
FORMS: dict[str, Any] = {
    "array thwc": FRAMES,
    "array tchw": CHW,
    "array not contiguous": FRAMES[:, ::-1][:, ::-1],
    "array float32": UNIT,
    "array float64 tchw": CHW / 255.0,
    "array read-only": np.broadcast_to(FRAMES, FRAMES.shape),
    "tensor thwc": torch.from_numpy(FRAMES.copy()),
    "tensor tchw": torch.from_numpy(CHW.copy()),
    "tensor float": torch.from_numpy(UNIT.copy()),
    "tensor double tchw": torch.from_numpy(CHW / 255.0),
    "tensor that wants a gradient": torch.from_numpy(UNIT.copy()).requires_grad_(),
    "PIL images": [Image.fromarray(frame) for frame in FRAMES],
    "PIL images with alpha": [Image.fromarray(frame).convert("RGBA") for frame in FRAMES],
    "a tuple of PIL images": tuple(Image.fromarray(frame) for frame in FRAMES),
    "four channels": np.concatenate([FRAMES, np.full_like(FRAMES[..., :1], 9)], axis=-1),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [1, 3, 24])
def test_every_form_gives_the_same_frames(form: str, length: int) -> None:
    np.testing.assert_array_equal(frames_of(FORMS[form], length, fps=24), FRAMES)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_half_precision_tensor_is_within_its_own_rounding(kind: torch.dtype) -> None:
    got = frames_of(torch.from_numpy(UNIT.copy()).to(kind), fps=24).astype(int)
    assert np.abs(got - FRAMES).max() <= 255 * torch.finfo(kind).eps


def test_layout_cthw_is_read_when_named() -> None:
    got = frames_of(FRAMES.transpose(3, 0, 1, 2), fps=24, layout="CTHW")
    np.testing.assert_array_equal(got, FRAMES)


@pytest.mark.parametrize("video", [FRAMES[..., :1], CHW[:, :1]], ids=["thwc", "tchw"])
def test_one_channel_becomes_grey(video: Any) -> None:
    np.testing.assert_array_equal(frames_of(video, fps=24), np.repeat(FRAMES[..., :1], 3, axis=-1))


def test_bytes_and_path_give_the_frames_of_the_array(out: Any) -> None:
    path = write(out / "a.mkv", FRAMES, **LOSSLESS)
    for video in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        np.testing.assert_array_equal(frames_of(video), FRAMES)


@pytest.mark.parametrize("form", ["array thwc", "array float32", "tensor tchw", "tensor float"])
def test_the_input_is_never_modified(form: str) -> None:
    video = FORMS[form].detach().clone() if hasattr(FORMS[form], "detach") else FORMS[form].copy()
    before = video.clone() if hasattr(video, "clone") else video.copy()
    frames_of(video, fps=24)
    assert bool((video == before).all())
    assert not isinstance(video, np.ndarray) or video.flags.writeable


def test_frames_never_share_memory_with_the_input() -> None:
    video = FRAMES.copy()
    window = next(open_clip(Clip(video, fps=24)).windows(24))
    assert not np.shares_memory(window.frames, video)


def test_values_a_rounding_error_outside_are_clipped() -> None:
    video = np.where(UNIT > 0.5, 1 + 5e-4, -5e-4).astype(np.float32)
    np.testing.assert_array_equal(frames_of(video, fps=24), np.where(UNIT > 0.5, 255, 0))


def spoiled(frame: int, value: float) -> Any:
    """The clip with one value in one frame that is no part of a picture."""
    out = UNIT.copy()
    out[frame, 3, 3, 0] = value
    return out


BAD_VALUES = {
    "NaN": (spoiled(4, np.nan), "holds NaN or infinite values in frame 4; floats must lie in [0, 1]; leave the clip"),
    "infinite": (spoiled(6, np.inf), "NaN or infinite values in frame 6"),
    "infinite below": (spoiled(0, -np.inf), "NaN or infinite values in frame 0"),
    "0 to 255 as float": (FRAMES.astype(np.float32), "0 to 255, divide by 255"),
    "-1 to 1": (UNIT * 2 - 1, "(x + 1) / 2"),
    "no scale at all": (spoiled(5, -300), "values from -300 to 1 in frame 5; floats must lie in [0, 1]; scale them"),
    "int16": (FRAMES.astype(np.int16), "if the values lie in 0 to 255, give .astype(np.uint8)"),
    "int64": (FRAMES.astype(np.int64), "video holds int64; expected uint8 in 0 to 255 or float in [0, 1]; if the"),
    "int64 tensor": (torch.from_numpy(FRAMES.astype(np.int64)), "or .to(torch.uint8) of a tensor"),
    "bool": (FRAMES > 128, "video holds bool; expected uint8 in 0 to 255 or float in [0, 1]; give .astype(np.uint8) *"),
    "object": (FRAMES.astype(object), "object"),
    "complex": (UNIT.astype(np.complex64), "complex64"),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_values_that_are_no_pictures_are_refused(name: str) -> None:
    video, says = BAD_VALUES[name]
    message = refusal(lambda: frames_of(video, fps=24))
    assert says in message and ("expected" in message or "must lie" in message)


TENSORS_WITHOUT_VALUES = {
    "meta": lambda: torch.zeros(CHW.shape, dtype=torch.uint8, device="meta"),
    "sparse": lambda: torch.from_numpy(UNIT.copy()).to_sparse(),
    "quantised": lambda: torch.quantize_per_tensor(torch.from_numpy(UNIT.copy()), 1 / 255, 0, torch.quint8),
}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("name", TENSORS_WITHOUT_VALUES)
def test_a_tensor_that_gives_no_array_is_refused(name: str) -> None:
    message = refusal(lambda: frames_of(TENSORS_WITHOUT_VALUES[name](), fps=24))
    assert "video is a Tensor of torch." in message and "give a dense uint8 or float tensor" in message


BAD_SHAPES = {
    (8, 3, 64, 3): "layout=",
    (3, 4, 64, 96): "which is TCHW as well as CTHW; say which with layout=",
    (3, 3, 64, 96): "layout=",
    (4, 3, 64, 96): "layout=",
    (3, 1, 64, 96): "layout=",
    (1, 4, 64, 96): "layout=",
    (8, 64, 96, 2): "expected 1, 3 or 4 channels at axis 1 or 3; give grey as 1 channel, colour as 3",
    (8, 2, 64, 96): "give grey as 1 channel, colour as 3",
    (8, 64, 96): "four axes",
    (2, 8, 64, 96, 3): "one Clip for each",
    (64, 96): "four axes",
    (8, 64, 96, 5): "1, 3 or 4 channels",
    (3, 8, 64, 96): 'layout="CTHW"',
    (0, 64, 96, 3): "no frame",
}


@pytest.mark.parametrize("shape", BAD_SHAPES, ids=str)
def test_shapes_without_one_clear_meaning_are_refused(shape: tuple[int, ...]) -> None:
    assert BAD_SHAPES[shape] in refusal(lambda: open_clip(Clip(np.zeros(shape, np.uint8), fps=24)))


def test_a_named_layout_settles_an_ambiguous_shape() -> None:
    assert find_layout((8, 3, 64, 3), "TCHW") == "TCHW"
    assert find_layout((8, 3, 64, 3), "THWC") == "THWC"


@pytest.mark.parametrize("shape", [(3, 4, 64, 96), (3, 3, 64, 96), (4, 3, 64, 96), (1, 3, 64, 96)], ids=str)
@pytest.mark.parametrize("layout", ["TCHW", "CTHW"])
def test_a_named_layout_settles_a_clip_of_few_frames(shape: tuple[int, ...], layout: str) -> None:
    assert find_layout(shape, layout) == layout


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((1, 3, 64, 96), "TCHW"),
        ((1, 1, 64, 96), "TCHW"),
        ((2, 3, 64, 96), "TCHW"),
        ((5, 4, 64, 96), "TCHW"),
        ((1, 64, 96, 3), "THWC"),
        ((3, 64, 96, 3), "THWC"),
        ((4, 64, 96, 1), "THWC"),
    ],
    ids=str,
)
def test_a_clip_of_few_frames_may_be_clear(shape: tuple[int, ...], layout: str) -> None:
    assert find_layout(shape, None) == layout


def test_a_named_layout_that_the_shape_denies_is_refused() -> None:
    message = refusal(lambda: find_layout((8, 64, 96, 3), "TCHW"))
    assert "64 channels in layout TCHW; expected 1, 3 or 4" in message and 'give layout="THWC"' in message
    assert "give grey as 1 channel, colour as 3" in refusal(lambda: find_layout((8, 64, 96, 2), "THWC"))


@pytest.mark.parametrize("fps", [None, 0, -24, float("nan"), float("inf"), 1e6, "fast", [24]])
def test_a_frame_rate_that_is_none_is_refused(fps: Any) -> None:
    assert "fps" in refusal(lambda: open_clip(Clip(FRAMES, fps=fps)))


@pytest.mark.parametrize("side", [1, 15])
def test_pictures_under_16_pixels_are_refused(side: int) -> None:
    assert "at least 16 x 16" in refusal(lambda: open_clip(Clip(np.zeros((3, 40, side, 3), np.uint8), fps=24)))


def test_images_of_two_sizes_are_refused() -> None:
    images = [Image.new("RGB", (32, 32)), Image.new("RGB", (32, 40))]
    assert "differ in size" in refusal(lambda: open_clip(Clip(images, fps=24)))


def test_an_empty_list_is_refused() -> None:
    assert "no frame" in refusal(lambda: open_clip(Clip([], fps=24)))


LISTS: dict[str, tuple[Any, str]] = {
    "arrays": (list(FRAMES), "a list of ndarray; expected PIL images, or one array or tensor; make one of them with"),
    "tensors": (list(torch.from_numpy(UNIT.copy())), "a list of Tensor; expected"),
    "paths": (["a.mp4", "b.mp4"], "a list of str; expected PIL images, or one array or tensor; give one Clip for each"),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_what_are_no_images_is_refused(name: str) -> None:
    video, says = LISTS[name]
    assert says in refusal(lambda: open_clip(Clip(video, fps=24)))


def test_an_image_file_cut_short_is_refused(out: Any) -> None:
    Image.fromarray(FRAMES[0]).save(out / "a.png")
    data = (out / "a.png").read_bytes()
    (out / "a.png").write_bytes(data[: len(data) // 2])
    assert "cannot be read" in refusal(lambda: frames_of([Image.open(out / "a.png")], fps=24))


@pytest.mark.parametrize("video", [None, 7, {"a": 1}, 3.5], ids=str)
def test_what_is_no_video_is_refused(video: Any) -> None:
    assert type(video).__name__ in refusal(lambda: open_clip(Clip(video, fps=24)))


def test_diffusers_output_becomes_clips_with_their_prompts_and_sound() -> None:
    sound = np.zeros((2, 1, 16_000), np.float32)
    output = SimpleNamespace(frames=np.stack([UNIT, UNIT[::-1]]), audio=sound)
    clips = Clip.from_diffusers(output, ["a", "b"], 24, sample_rate=16_000)
    assert [clip.prompt for clip in clips] == ["a", "b"]
    np.testing.assert_array_equal(frames_of(clips[1].video, fps=24), FRAMES[::-1])
    assert clips[1].audio.shape == (1, 16_000) and clips[1].sample_rate == 16_000


def test_a_video_of_few_frames_from_diffusers_is_clear() -> None:
    (made,) = Clip.from_diffusers(torch.from_numpy(CHW[None, :4] / 255.0), "a", 24)
    np.testing.assert_array_equal(frames_of(made.video, fps=24, layout=made.layout), FRAMES[:4])


def test_diffusers_output_leaves_a_shape_in_doubt_to_the_reader() -> None:
    assert [clip.layout for clip in Clip.from_diffusers([FRAMES, np.zeros((8, 3, 64, 3))], "a", 24)] == [None, None]


DIFFUSERS_FAULTS = {
    "prompts": (lambda: Clip.from_diffusers([UNIT], ["a", "b"], 24), "1 videos and 2 prompts"),
    "sample rate": (
        lambda: Clip.from_diffusers(SimpleNamespace(frames=[UNIT], audio=[np.zeros(9)]), "a", 24),
        "sample_rate",
    ),
    "sounds": (
        lambda: Clip.from_diffusers(SimpleNamespace(frames=[UNIT], audio=[np.zeros(9)] * 2), "a", 24, 16_000),
        "1 videos and 2 sounds",
    ),
}


@pytest.mark.parametrize("fault", DIFFUSERS_FAULTS)
def test_diffusers_output_that_does_not_add_up_is_refused(fault: str) -> None:
    call, says = DIFFUSERS_FAULTS[fault]
    assert says in refusal(call)
