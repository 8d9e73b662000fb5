"""RAFT: the true loading code in both layouts, against torchvision's own forward pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from vision import installed

from cinereward import weights
from cinereward.errors import WeightsError
from cinereward.networks import raft
from cinereward.networks.raft import Raft, at_once, load_raft, renamed, rim, shaped, unpadded
from cinereward.testing.scenes import scene
from cinereward.testing.tiny_vision import tiny_raft

optical_flow = pytest.importorskip("torchvision.models.optical_flow")
AUTHORS = json.loads((Path(__file__).parent / "raft_authors.json").read_text())["shapes"]


@pytest.fixture(scope="module", autouse=True)
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    with installed(tmp_path_factory.mktemp("home"), "raft-large", "raft-things") as found:
        yield found


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return scene(0.15, size=(136, 160), seed=1, move="pan")


# --- the two layouts ---


def whole() -> dict[str, torch.Tensor]:
    """Tensors of torchvision's raft_large."""
    tensors: dict[str, torch.Tensor] = optical_flow.raft_large(weights=None).state_dict()
    return tensors


@pytest.mark.parametrize("name", AUTHORS)
def test_each_tensor_of_the_authors_has_its_place_in_torchvisions(name: str) -> None:
    own = name.removeprefix("module.")
    tensor = torch.zeros(AUTHORS[name])
    came = renamed({own: tensor, "fnet.conv1.weight": tensor})
    came.pop("feature_encoder.convnormrelu.0.weight", None) if own != "fnet.conv1.weight" else None
    if ".norm3." in name:  # the same numbers lie under downsample.1
        assert came == {}
        return
    (new,) = came
    assert whole()[new].shape == tuple(AUTHORS[name])


def test_no_tensor_of_torchvisions_is_left_without_one() -> None:
    names = {name.removeprefix("module."): torch.zeros(shape) for name, shape in AUTHORS.items()}
    assert renamed(names).keys() == whole().keys()


def test_what_the_authors_layout_writes_is_what_their_code_holds(tmp_path: Path) -> None:
    written = torch.load(tiny_raft(tmp_path, authors=True, narrow=False), weights_only=True)
    assert {name: list(tensor.shape) for name, tensor in written.items()} == AUTHORS


def test_both_layouts_give_the_same_flow(frames: np.ndarray) -> None:
    pairs = frames[None, :2]
    assert np.array_equal(load_raft("cpu")(pairs), load_raft("cpu", "raft-things")(pairs))


def test_the_widths_are_read_from_the_tensors() -> None:
    tensors = whole()
    made = shaped(tensors).state_dict()
    assert {name: item.shape for name, item in made.items()} == {name: item.shape for name, item in tensors.items()}


# --- the flow ---


@pytest.mark.parametrize("updates", [1, 5])
def test_flow_is_what_torchvisions_own_network_tells(paths: dict[str, Path], frames: np.ndarray, updates: int) -> None:
    tensors = torch.load(paths["raft-large"], weights_only=True)
    network = shaped(tensors).eval()
    network.load_state_dict(tensors)
    first, second = (2 * torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 - 1 for frame in frames[:2])
    with torch.no_grad():
        theirs = network(first, second, num_flow_updates=updates)[-1][0].permute(1, 2, 0).numpy()
    ours = load_raft("cpu", updates=updates)(frames[None, :2])[0]
    assert np.abs(theirs).max() > 0.1
    assert np.allclose(ours, theirs, atol=1e-4)


def test_a_pair_does_not_depend_on_those_beside_it(frames: np.ndarray) -> None:
    pairs = np.stack([frames[:2], frames[1:3]])
    net = load_raft("cpu", updates=2)
    assert np.array_equal(net(pairs)[1], net(pairs[1:])[0])


@pytest.mark.parametrize("size", [(40, 60), (16, 16), (130, 150), (200, 128)])
def test_flow_covers_pictures_of_any_size(size: tuple[int, int]) -> None:
    pairs = scene(0.1, size=size, seed=1)[None, :2]
    flow = load_raft("cpu", updates=1)(pairs)
    assert flow.shape == (1, *size, 2)
    assert np.isfinite(flow).all()


def flowing(speed: float) -> Raft:
    """A network that sees all move by this share of the width, to the right where it gets brighter."""

    def see(pairs: np.ndarray) -> np.ndarray:
        height, width = (side + sum(rim(side)) for side in pairs.shape[2:4])
        flow = np.zeros((len(pairs), height, width, 2), np.float32)
        brighter = np.sign(pairs[:, 1].mean(axis=(1, 2, 3)) - pairs[:, 0].mean(axis=(1, 2, 3)))
        flow[..., 0] = speed * pairs.shape[3] * brighter[:, None, None]
        return flow

    return Raft(see)


@pytest.mark.parametrize("size", [(128, 192), (64, 96), (20, 30)])
def test_a_small_picture_is_enlarged_and_its_flow_made_small_again(size: tuple[int, int]) -> None:
    pair = np.stack([np.zeros((*size, 3), np.uint8), np.full((*size, 3), 9, np.uint8)])[None]
    assert np.allclose(flowing(0.25)(pair)[..., 0], 0.25 * size[1], rtol=1e-5)


def test_the_shared_flow_leads_back_to_the_frame_before() -> None:
    frames = np.stack([np.full((128, 128, 3), level, np.uint8) for level in (10, 30, 20)])
    flow = flowing(0.1).flow_pairs(frames)
    assert flow.dtype == np.float32
    # from the second frame to the darker first one, from the third to the brighter second one
    assert flow[:, 0, 0, 0] == pytest.approx([0, -12.8, 12.8])


@pytest.mark.parametrize("count", [1, 3])
def test_the_shared_flow_takes_pictures_without_colour(count: int) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (count, 128, 136), np.uint8)
    net = load_raft("cpu", updates=1)
    assert np.array_equal(net.flow_pairs(grey), net.flow_pairs(np.repeat(grey[..., None], 3, axis=-1)))


@pytest.mark.parametrize("side", [128, 129, 130, 133, 135])
def test_the_rim_makes_a_side_a_multiple_of_eight(side: int) -> None:
    before, after = rim(side)
    assert (side + before + after) % 8 == 0
    assert 0 <= after - before <= 1
    marked = np.zeros((1, side + before + after, 128, 2), np.float32)
    marked[0, before : before + side] = 1
    assert unpadded(marked, side, 128).shape[1] == side
    assert unpadded(marked, side, 128).min() == 1


def test_pairs_at_once_follow_the_size_of_the_picture_alone() -> None:
    assert at_once(240, 416) == raft.MOST_PAIRS
    assert at_once(2160, 3840) == 1
    assert at_once(480, 832) > at_once(1080, 1920)


# --- weights that cannot be used ---


@pytest.mark.parametrize("harm", ["small", "lacks", "narrower"])
def test_tensors_of_another_network_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    tensors = whole()
    if harm == "small":
        tensors = optical_flow.raft_small(weights=None).state_dict()
    elif harm == "lacks":
        del tensors["update_block.flow_head.conv2.bias"]
    else:
        tensors["update_block.motion_encoder.convcorr1.0.weight"] = torch.zeros(256, 196, 1, 1)
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path))
    torch.save(tensors, tmp_path / "own.pth")
    weights.add("raft-large", tmp_path / "own.pth", own=True)
    with pytest.raises(WeightsError, match=r"not the tensors of RAFT \(large\)"):
        load_raft("cpu")
