"""What a prompt asks to be seen and heard: a table of prompts, then one fact each."""

from __future__ import annotations

import pytest

from cinereward.wants import MOVES, RELATIONS, TAGS, Wanted, read_wants


def things(prompt: str) -> str:
    """Class or words, number and colour of what is asked for: "cat 3 black; dog"."""
    told = []
    for thing in read_wants(prompt).subjects:
        name = thing.classes[0] if thing.classes else f"({thing.words})"
        told.append(" ".join(str(part) for part in (name, thing.count, thing.colour) if part is not None))
    return "; ".join(told)


def places(prompt: str) -> str:
    """Relations in the words of the prompt: "cat left of dog"."""
    wants = read_wants(prompt)
    names = [(thing.classes or (thing.words,))[0] for thing in wants.subjects]
    return "; ".join(f"{names[item.first]} {item.kind} {names[item.second]}" for item in wants.relations)


THINGS = {
    "": "",
    "beautiful": "",
    "A lighthouse keeper climbs the stairs at dusk, slow push in": "person",
    "A red fox listens in falling snow, shallow depth of field": "(red fox)",
    "Two children fly a kite on a windy hill, golden hour": "person 2; kite; (windy hill)",
    "A horse crosses a frozen lake at sunrise": "horse; (frozen lake)",
    "A ferry leaves the harbour in fog": "boat; (harbour)",
    "three black cats on a red sofa": "cat 3 black; couch red",
    "a kitten and two puppies": "cat; dog 2",
    "five women dance": "person 5",
    "a pair of birds above a boat": "bird 2; boat",
    "a single wolf": "(a single wolf) 1",
    "one dog, no cat": "dog 1",
    "exactly one red car": "car 1 red",
    "12 balloons": "(12 balloons) 12",
    "a woman in a red coat walks two dogs": "person; (red coat) red; dog 2",
    "a woman with blue eyes": "person; (blue eyes) blue",
    "a man in a hat": "person",
    "a 30-year-old man rides a bicycle": "person; bicycle",
    "an 8 year old boy": "person",
    "a two-story house": "(house)",
    "The car is red. The car turns.": "car red",
    "A dog runs. The dog jumps.": "dog",
    "a red car and a blue car race": "car red; car blue",
    "a police car chases a motorcycle": "car; motorcycle",
    "a hot dog and a teddy bear": "hot dog; teddy bear",
    "a wine glass beside a laptop": "wine glass; laptop",
    "three sheep and a calf": "sheep 3; cow",
    "two orange cats": "cat 2 orange",
    "two oranges": "orange 2",
    "A street without people, a dog sleeps": "(street); dog",
    "no dogs, cats or birds, only a lighthouse": "(lighthouse)",
    "There is no car. A bus stops.": "bus",
    "like a cat, the woman jumps": "person",
    "a bowl instead of a cup": "bowl",
    "bird's eye view of a city": "(city)",
    "a black and white film about a train": "train",
    "a group of five people": "person 5",
    "two of the horses": "horse 2",
    "a photo of three dogs": "dog 3",
    "a painting of a horse": "horse",
    "a statue of a horse": "",
    "a robot detective": "(robot detective)",
    "a family of ducks": "bird",
    "a man-made lake": "(lake)",
    "Three shots of the same tree": "(same tree)",
    "No cuts, music or people. A horse.": "horse",
    "a toy soldier": "(toy soldier)",
    "a robot holds an umbrella": "(robot); umbrella",
    "A samovar steams on a stove": "(samovar)",
    'a poster that reads "three cats"': "(poster)",
    "a man's dog": "person; dog",
    "A man waves. Waves crash on rocks.": "person; (waves)",
    "三只黑色的猫坐在桌子上": "cat 3 black; dining table",
    "一只猫": "cat",
    "只有一只狗": "dog 1",
    "两个人": "person 2",
    "三人行走": "person 3",
    "两个穿着红色衣服的女孩在跳舞": "(红色衣服) red; person 2",
    "一辆红色汽车驶过街道": "car red; (街道)",
    "没有人的街道,一只猫走过": "(街道); cat",
    "机器人在马路上奔跑": "(机器人)",
    "无人机航拍的城市": "(城市)",
    "车是红色的": "car red",
    "一对天鹅": "bird 2",
    "侦探和一匹白色的马": "person; horse white",
    "十字路口": "",
}
PLACES = {
    "a cat to the left of a dog": "cat left of dog",
    "a dog on the right side of a bench": "dog right of bench",
    "a dog on the left and a cat on the right": "dog left of cat",
    "a bird above a boat": "bird above boat",
    "a cat under a table": "cat below dining table",
    "a cat sits on a red sofa": "cat on couch",
    "a bicycle in front of a bus": "bicycle in front of bus",
    "a man behind a horse": "person behind horse",
    "a vase next to a laptop": "vase next to laptop",
    "a dog in a car": "dog in car",
    "On the table is a white vase": "vase on dining table",
    "a dog. On the left is a cat. A bench.": "",
    "a samurai in a bamboo forest": "",
    "a dog jumps, a cat sleeps": "",
    "not a cat on a sofa, a dog beside a bed": "dog next to bed",
    "一只狗在汽车的左边": "dog left of car",
    "桌子上有一只猫": "cat on dining table",
    "三只猫坐在桌子上": "cat on dining table",
    "沙发前面有一只狗": "dog in front of couch",
    "猫在桌子上,狗在椅子下面": "cat on dining table; dog below chair",
}
ACTIONS = {
    "A lighthouse keeper climbs the stairs at dusk, slow push in": "climbs the stairs at dusk",
    "a police car chases a motorcycle": "chases a motorcycle",
    "A man walks while a dog barks": "walks",
    "a running dog": "running dog",
    "the woman is dancing in the rain": "dancing in the rain",
    "A samovar steams on a stove": None,
    "A man sits on a bench": None,
    "A man does not run": None,
    "A red fox waits in falling snow": None,
    "The woman whispers to him": None,
    "A sunset": None,
    "Birds singing in a forest": "singing in a forest",
    "shot on 35mm film": None,
    "A sign that says OPEN": None,
    "两个女孩在跳舞": "跳舞",
    "一只猫走过街道,慢镜头": "走过街道",
}
CAMERA = {
    "the camera pans left": ("pan left",),
    "slow pan to the right over a city": ("pan right",),
    "The camera slowly pans across the room": ("pan",),
    "tilt up to the sky, then zoom out": ("tilt up", "zoom out"),
    "slow push in": ("dolly in",),
    "dolly out from a house": ("dolly out",),
    "zoom in on the face": ("zoom in",),
    "the camera orbits the statue": ("orbit",),
    "a tracking shot, handheld": ("tracking", "handheld"),
    "static shot, no camera movement": ("static",),
    "not handheld": (),
    "a frying pan sizzles": (),
    "drone shot of a coast": ("aerial",),
    "truck left past the market": ("truck left",),
    "镜头向左摇": ("pan left",),
    "a panning shot from left to right": ("pan right",),
    "the camera pans right to left": ("pan left",),
    "a slow left-to-right pan": ("pan right",),
    "The camera pans left to reveal a house": ("pan left",),
    "pan left, then pan right": ("pan left", "pan right"),
    "the camera pans left and right": ("pan",),
    "the camera moves from left to right": ("truck right",),
    "tilt up and down": ("tilt",),
    "The camera tilts slowly down": ("tilt down",),
    "镜头向右摇": ("pan right",),
    "从左到右摇": ("pan right",),
    "左右摇镜头": ("pan",),
    "向左平移": ("truck left",),
    "镜头缓缓上摇": ("tilt up",),
    "下摇": ("tilt down",),
    "上下摇": ("tilt",),
    "镜头缓缓推进": ("dolly in",),
    "固定镜头": ("static",),
    "手持镜头跟拍跑者": ("handheld", "tracking"),
}
STYLES = {
    "a cat in anime style": ("anime",),
    "watercolour of a harbour": ("watercolour",),
    "A film noir: a detective": ("noir",),
    "pixel art castle": ("pixel art",),
    "black and white footage of a train": ("black and white",),
    "a castle, not in anime style": (),
    "a 3D render of a robot, cyberpunk": ("3d render", "cyberpunk"),
    "水墨风格的山": ("ink wash",),
    "赛博朋克城市": ("cyberpunk",),
    "a cat": (),
}
SAID = {
    'A man says: "Hello there, my friend."': ("hello there, my friend.",),
    "“We are late,” the woman whispers": ("we are late",),
    "She asks 'don't you know?' and leaves": ("don't you know?",),
    "The boy shouts ‘Stop!’": ("stop!",),
    '"Go," he says, "or stay."': ("go", "or stay."),
    "A teacher says: good morning, class": ("good morning, class",),
    'Detective: "It was you."': ("it was you.",),
    'Voice-over: "The sea is old."': ("the sea is old.",),
    'a sign that says "OPEN"': (),
    'a neon sign reading "BAR", a man says "no"': ("no",),
    'a film titled "Home"': (),
    'the so-called "ghost" train': (),
    "a dog's bone and a cat's toy": (),
    "男人说:“我们走吧。”": ("我们走吧。",),
    "她低声道:「别怕」": ("别怕",),
    "招牌上写着“营业中”": (),
    "旁白:大海很古老。": ("大海很古老。",),
}


@pytest.mark.parametrize("prompt", THINGS)
def test_the_things_that_are_asked_for(prompt: str) -> None:
    assert things(prompt) == THINGS[prompt]


@pytest.mark.parametrize("prompt", PLACES)
def test_where_they_are_to_one_another(prompt: str) -> None:
    assert places(prompt) == PLACES[prompt]


@pytest.mark.parametrize("prompt", ACTIONS)
def test_what_is_done(prompt: str) -> None:
    assert read_wants(prompt).action == ACTIONS[prompt]


@pytest.mark.parametrize("prompt", CAMERA)
def test_the_moves_of_the_camera(prompt: str) -> None:
    assert read_wants(prompt).camera_moves == CAMERA[prompt]


@pytest.mark.parametrize("prompt", STYLES)
def test_the_style(prompt: str) -> None:
    assert read_wants(prompt).style == STYLES[prompt]


@pytest.mark.parametrize("prompt", SAID)
def test_what_is_said(prompt: str) -> None:
    assert read_wants(prompt).dialogue == SAID[prompt]


def test_a_thing_has_the_words_of_the_prompt() -> None:
    wants = read_wants("THREE Black Cats on a red sofa")
    assert wants.subjects[0] == Wanted(words="three black cats", classes=("cat",), count=3, colour="black")
    assert wants.colours == ("black", "red")


def test_what_is_said_is_not_seen() -> None:
    assert things('A man says "two cats and a dog"') == "person"


def test_the_tags_tell_what_is_asked_for() -> None:
    asked = read_wants('Two dogs left of a red fox run, pan left, anime, she says "yes"').asked
    assert asked >= {"subject", "known_subject", "count", "known_count", "spatial_relation", "action"}
    assert asked >= {"camera_move", "pan_left", "style", "dialogue", "whole"}
    assert asked.isdisjoint({"colour", "known_colour", "known_relation", "static"})


@pytest.mark.parametrize(
    ("prompt", "tags"),
    [
        ("pan left", {"pan_left"}),
        ("truck left", {"pan_left"}),
        ("truck right", {"pan_right"}),
        ("tilt up", {"tilt_up"}),
        ("crane down", {"tilt_down"}),
        ("the camera pans", {"pan"}),
        ("the camera pans, then pan right", {"pan_right"}),
        ("向右横移", {"pan_right"}),
        ("横摇", {"pan"}),
        ("镜头下降", {"tilt_down"}),
    ],
)
def test_a_move_with_a_direction_has_the_tag_of_that_direction_alone(prompt: str, tags: set[str]) -> None:
    assert read_wants(prompt).asked & MOVES == tags


def test_a_known_relation_is_between_known_things() -> None:
    assert "known_relation" in read_wants("a dog left of a cat").asked
    assert "known_relation" not in read_wants("a fox left of a cat").asked


def test_an_empty_prompt_asks_for_nothing() -> None:
    assert read_wants("").asked == read_wants(" .,; ").asked == frozenset()


@pytest.mark.parametrize("prompt", [*THINGS, *PLACES, *CAMERA])
def test_tags_and_relations_are_of_the_known_kinds(prompt: str) -> None:
    wants = read_wants(prompt)
    assert wants.asked <= TAGS
    assert {item.kind for item in wants.relations} <= set(RELATIONS)
    assert bool(wants.camera_moves) == bool(wants.asked & MOVES)
