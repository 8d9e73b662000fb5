from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import judge
from benchmarks.judge_costs import (
    SHAPES,
    SIZES,
    Load,
    Shape,
    Text,
    Vision,
    most_tail,
    one_by_one,
    packed,
    prefix_tokens,
    ratios,
    seeing,
    shape_of,
    thinking,
)

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

TINY = Shape(
    vision=Vision(layers=3, width=32, inner=80, out=64, taps=1, heads=2),
    text=Text(layers=3, width=64, inner=160, heads=4, kv_heads=2, head_dim=16, vocabulary=1_000),
)
LOAD = Load(frames=6, height=96, width=128, around=100, tails=(20, 31, 25, 44, 28), chunk=2)
PUBLISHED = {"Qwen3-VL-2B": 2_127_532_032, "Qwen3-VL-8B": 8_767_123_696}  # parameters, as told with the weights


@pytest.fixture(scope="module")
def tiny():
    return judge.random_model(TINY, "cpu", "float32")


def operations(run) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("load", [LOAD, replace(LOAD, chunk=32), replace(LOAD, frames=3, height=64, tails=(60,))])
def test_the_arithmetic_is_what_torch_counts_of_the_packed_kernel(tiny, load):
    from cinereward.judge.packing import read_packed

    put = judge.staged(tiny, TINY, load)
    counted = operations(lambda: read_packed(tiny, put, load.chunk))
    assert packed(TINY, load).operations == pytest.approx(counted, rel=0.005)


def test_the_vision_tower_is_what_torch_counts(tiny):
    media = judge.staged(tiny, TINY, LOAD).media
    visual = tiny.model.model.visual
    counted = operations(lambda: visual(media["pixel_values_videos"], grid_thw=media["video_grid_thw"]))
    assert seeing(TINY.vision, LOAD) == pytest.approx(counted, rel=0.005)


def test_what_the_kernel_is_given_has_the_tokens_that_are_counted(tiny):
    put = judge.staged(tiny, TINY, LOAD)
    assert put.prefix.shape[1] == prefix_tokens(TINY, LOAD)
    assert tuple(map(len, put.tails)) == LOAD.tails


@pytest.mark.parametrize("name", SHAPES)
def test_true_shapes_have_the_published_number_of_parameters(name):
    model = judge.random_model(SHAPES[name], "meta", "bfloat16").model
    assert sum(weight.numel() for weight in model.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_read_from_a_configuration(name):
    assert shape_of(judge.random_model(SHAPES[name], "meta", "bfloat16").model.config) == SHAPES[name]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SHAPES)
def test_all_questions_cost_at_most_six_times_one(name, size):
    load = judge.load_of(size, judge.bounds(), 32)
    assert len(load.tails) == 196
    assert ratios(SHAPES[name], load)["packed"] <= judge.LIMIT


def test_one_by_one_every_question_looks_again_and_packed_only_once():
    assert one_by_one(TINY, LOAD).seen == len(LOAD.tails)
    assert packed(TINY, LOAD).seen == 1


def test_packed_and_alone_read_the_same_question_tokens():
    before = prefix_tokens(TINY, LOAD)
    assert one_by_one(TINY, LOAD).tokens - packed(TINY, LOAD).tokens == (len(LOAD.tails) - 1) * before


def test_thinking_writes_its_tokens_one_pass_at_a_time():
    more = thinking(TINY, LOAD, 10)
    assert more.tokens - packed(TINY, LOAD).tokens == 10 * len(LOAD.tails)
    assert more.passes - packed(TINY, LOAD).passes == 10 * 3  # three chunks


def test_thinking_costs_what_as_many_passes_of_one_token_cost(tiny):
    from cinereward.judge.packing import SHARED, Row, prefilled, step

    load = replace(LOAD, tails=(20, 20), chunk=2)
    put = judge.staged(tiny, TINY, load)

    def write(row: Row) -> None:
        ids = torch.arange(100, 102)
        step(tiny, row, ids.repeat(20), torch.zeros(3, 40, dtype=torch.long), torch.tensor([0, 1]).repeat(20))
        for _ in range(5):
            tiny.model.lm_head(step(tiny, row, ids, torch.zeros(3, 2, dtype=torch.long), torch.tensor([0, 1])))

    with torch.inference_mode():
        row = prefilled(tiny, put)
        assert (row.owners == SHARED).all()
        counted = operations(lambda: write(row))
    before = packed(TINY, replace(load, tails=())).operations
    heads = 2 * 2 * TINY.text.width * TINY.text.vocabulary  # the labels are read once more at the end
    assert thinking(TINY, load, 5).operations - before - heads == pytest.approx(counted, rel=0.005)


@given(st.integers(200, 3_000), st.integers(10, 120), st.integers(1, 64))
@settings(max_examples=30)
def test_longer_questions_and_a_shorter_prefix_make_all_dearer_against_one(around, tail, chunk):
    shape = SHAPES["Qwen3-VL-8B"]
    load = Load(frames=32, height=256, width=448, around=around, tails=(tail,) * 196, chunk=chunk)
    usual = ratios(shape, load)["packed"]
    assert ratios(shape, replace(load, tails=(tail + 5,) * 196))["packed"] > usual
    assert ratios(shape, replace(load, around=around + 200))["packed"] < usual


def test_the_longest_question_that_may_be_is_the_last_within_the_limit():
    shape, load = SHAPES["Qwen3-VL-8B"], judge.load_of((256, 448), judge.bounds(), 32)
    length = most_tail(shape, load, 3.0)
    costs = [ratios(shape, replace(load, tails=(length + more,) * 196))["packed"] for more in (0, 1)]
    assert costs[0] <= 3.0 < costs[1]


def test_by_the_clock_vision_is_passed_once_packed_and_once_a_question_alone():
    row = judge.clocked(TINY, LOAD, "cpu", rounds=1, singles=2)
    assert row["vision_passes_packed"] == 1
    assert row["vision_passes_one_by_one"] == len(LOAD.tails)
    assert row["packed_s"] > 0 and row["clips_per_s"] == pytest.approx(1 / row["packed_s"])


def test_the_command_tells_and_writes(tmp_path, capsys):
    file = tmp_path / "out.json"
    assert judge.main(["--device", "cpu", "--rounds", "0", "--json", str(file)]) == 0
    assert set(json.loads(file.read_text())["counted"]) == {f"{n}, {h}x{w}" for n in SHAPES for h, w in SIZES}
    assert "one by one" in capsys.readouterr().out
