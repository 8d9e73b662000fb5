"""The served judge, over a real HTTP server: what is sent, and what comes of every kind of answer."""

from __future__ import annotations

import io
import json
import time
import wave
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("httpx")

from cinereward.errors import ConfigError
from cinereward.judge.backend import Ask, Backend
from cinereward.judge.labels import moments
from cinereward.judge.served import ServedBackend
from cinereward.judge.settings import JudgeSettings
from cinereward.networks.running import noting
from tests.judge.looks import ASKS, parts, served, shown
from tests.judge.server import Server, pictures

SCHEMA = {"type": "object", "properties": {"note": {"type": "string"}}}


def test_it_is_a_backend() -> None:
    with Server() as server:
        assert isinstance(served(server), Backend)


def test_the_labels_are_read_with_their_mass() -> None:
    with Server() as server:
        [[read]] = served(server).read([(shown(), ASKS[:1])])
    score, _, mass = moments(read.logs)
    assert mass == pytest.approx(0.9)
    assert score == pytest.approx((0.6 * 0.75 + 0.2 + 0.1 * 0.5) / 0.9)
    assert read.logs[0] == -np.inf


def test_answers_come_in_the_order_of_the_questions_and_the_clips() -> None:
    def by_text(body: dict[str, Any]) -> dict[str, float]:
        time.sleep(0.01 * (int(parts(body)[-1]["text"][9]) % 2))
        label = int(parts(body)[-1]["text"][9]) + (parts(body)[0]["text"] == "clip 1")
        return {str(label): -0.1}

    with Server(by_text) as server:
        clips = [(shown(n, before=f"clip {n}", key=str(n)), ASKS[1:]) for n in range(2)]
        came = served(server).read(clips)
    assert [[1 + int(np.argmax(read.logs)) for read in reads] for reads in came] == [[1, 2, 3], [2, 3, 4]]


def test_no_question_gives_no_answer_and_no_request() -> None:
    with Server() as server:
        assert served(server).read([(shown(), ()), (shown(1), ())]) == [[], []]
        assert server.posts == []


def test_the_messages_stand_in_the_order_of_the_local_judge() -> None:
    clip = shown(reference=np.zeros((64, 96, 3), np.uint8), sound=np.zeros(1600, np.float32))
    with Server() as server:
        served(server, hears=True).read([(clip, ASKS[:1])])
    system, user, assistant = server.posts[0]["messages"]
    assert (system["role"], user["role"], assistant["role"]) == ("system", "user", "assistant")
    kinds = [part["type"] for part in user["content"]]
    assert kinds == ["text", "image_url", "video_url", "audio_url", "text", "text"]
    assert [part["text"] for part in user["content"] if "text" in part] == [clip.before, clip.after, ASKS[0].text]
    assert assistant["content"] == "Score: "
    assert (server.posts[0]["continue_final_message"], server.posts[0]["add_generation_prompt"]) == (True, False)


def test_only_the_first_token_is_asked_for_greedily_with_the_labels_named() -> None:
    with Server() as server:
        served(server).read([(shown(), ASKS[:1])])
    body = server.posts[0]
    asked = (body["max_tokens"], body["temperature"], body["logprobs"], body["top_logprobs"])
    assert asked == (1, 0, True, 20)
    assert body["logprob_token_ids"] == [ord(label) for label in "12345"]


@pytest.mark.parametrize("told", [[], [7]])
def test_a_server_that_does_not_tell_the_tokens_is_asked_for_its_top(told: list[int]) -> None:
    with Server(tokens=lambda text: told) as server:
        assert not served(server).read([(shown(), ASKS[:1])])[0][0].error
    assert "logprob_token_ids" not in server.posts[0] and server.posts[0]["messages"][2]["content"] == "Score: "


def test_a_label_whose_token_begins_with_the_space_is_asked_for_without_it() -> None:
    def merging(text: str) -> list[int]:
        return [
            ord(letter)
            for letter in text.replace(" 1", "a")
            .replace(" 2", "b")
            .replace(" 3", "c")
            .replace(" 4", "d")
            .replace(" 5", "e")
        ]

    with Server(tokens=merging) as server:
        served(server).read([(shown(), ASKS[:1])])
    assert server.posts[0]["messages"][2]["content"] == "Score:"
    assert server.posts[0]["logprob_token_ids"] == [ord(token) for token in "abcde"]


def test_only_vllm_is_sent_what_only_vllm_takes() -> None:
    with Server(software="llamacpp") as server:
        [[read]] = served(server).read([(shown(), ASKS[:1])])
    assert not read.error
    extras = {"logprob_token_ids", "media_io_kwargs", "repetition_penalty"}
    assert not extras & server.posts[0].keys() and "/tokenize" not in server.asked
    assert not [part for part in parts(server.posts[0]) if "uuid" in part]


def test_png_keeps_every_pixel_and_the_frames_keep_their_numbers() -> None:
    clip = shown()
    with Server() as server:
        served(server).read([(clip, ASKS[:1])])
    film = next(part for part in parts(server.posts[0]) if part["type"] == "video_url")
    came = [
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        for data in pictures(film["video_url"]["url"])
    ]
    assert np.array_equal(np.stack(came), clip.frames)
    told = server.posts[0]["media_io_kwargs"]["video"]
    assert np.allclose(np.array(told["frames_indices"]) / told["fps"], clip.times)
    assert told["num_frames"] == len(clip.frames) and told["do_sample_frames"] is False


def test_jpeg_is_smaller_and_in_the_identity() -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 96).astype(np.uint8)[None, None, :, None], (2, 64, 96, 3)).copy()
    clip = shown(frames=smooth + np.random.default_rng(0).integers(0, 2, smooth.shape, np.uint8))
    with Server() as server:
        backends = [served(server, picture=kind) for kind in ("png", "jpeg")]
        for backend in backends:
            backend.read([(clip, ASKS[:1])])
        assert backends[0].identity != backends[1].identity
    png, jpeg = (len(json.dumps(body)) for body in server.posts)
    assert jpeg < 0.7 * png


def test_other_servers_get_pictures_with_their_times_told() -> None:
    clip = shown()
    with Server(software="sglang") as server:
        served(server).read([(clip, ASKS[:2])])
    inner = parts(server.posts[1])[1:-2]
    assert [part["type"] for part in inner] == ["text", "image_url"] * len(clip.frames)
    assert all(len(pictures(part["image_url"]["url"])[0]) > 100 for part in inner[1::2])
    assert [part["text"] for part in inner[::2]] == [f"<{time:.1f} seconds>" for time in clip.times]


def test_the_film_goes_over_the_wire_once() -> None:
    with Server() as server:
        reads = served(server).read([(shown(), ASKS)])[0]
    films = [part["video_url"] for body in server.posts for part in parts(body) if part["type"] == "video_url"]
    assert not any(read.error for read in reads)
    assert [bool(film) for film in films] == [True, False, False, False]
    assert {part["uuid"] for body in server.posts for part in parts(body) if "uuid" in part} == {"0-video-png"}


def test_a_server_that_has_lost_the_film_gets_it_again() -> None:
    with Server() as server:
        backend = served(server)
        backend.read([(shown(), ASKS[:2])])
        server.held.clear()
        [[read]] = backend.read([(shown(), ASKS[2:3])])
    assert not read.error
    assert [bool(parts(body)[1]["video_url"]) for body in server.posts[-2:]] == [False, True]


def test_a_server_that_fails_over_a_film_it_should_hold_is_always_sent_it() -> None:
    def unsteady(number: int, body: dict[str, Any]) -> str:
        return "" if parts(body)[1]["video_url"] else "500"

    with Server(fault=unsteady) as server:
        backend = served(server, concurrency=1)
        assert not [read.error for _ in range(2) for read in backend.read([(shown(), ASKS)])[0] if read.error]
    assert [bool(parts(body)[1]["video_url"]) for body in server.posts].count(False) == 1


def test_what_is_heard_is_sent_as_sixteen_bits() -> None:
    sound = np.linspace(-1.2, 1.0, 1600).astype(np.float32)
    with Server(software="other") as server:
        served(server, hears=True).read([(shown(sound=sound), ASKS[:1])])
    heard = next(part for part in parts(server.posts[0]) if part["type"] == "input_audio")["input_audio"]
    with wave.open(io.BytesIO(pictures(";base64," + heard["data"])[0])) as file:
        assert (file.getframerate(), file.getnchannels(), heard["format"]) == (16_000, 1, "wav")
        came = np.frombuffer(file.readframes(1600), "<i2") / 32767
    assert np.abs(came - np.clip(sound, -1, 1)).max() < 1 / 32767


def test_a_deaf_model_is_sent_no_sound() -> None:
    with Server() as server:
        backend = served(server)
        backend.read([(shown(sound=np.zeros(1600, np.float32)), ASKS[:1])])
    assert not backend.hears and "audio_url" not in [part["type"] for part in parts(server.posts[0])]


@pytest.mark.parametrize(("model", "hears"), [("Qwen3-Omni-30B", True), ("Qwen3-VL-8B", False)])
def test_a_name_tells_whether_the_model_hears(model: str, hears: bool) -> None:
    with Server() as server:
        assert served(server, model=model).hears is hears


def test_one_question_goes_first_and_then_so_many_at_once() -> None:
    with Server(fault=lambda number, body: "slow:0.05") as server:
        served(server).read([(shown(), [Ask(name=str(n), text=f"{n}?") for n in range(12)])])
        first = server.posts[0]["messages"][1]["content"][-1]["text"]
    assert first == "0?" and server.most == 4


def test_two_threads_share_the_limit_of_one_server() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with Server(fault=lambda number, body: "slow:0.03") as server:
        backend = served(server, concurrency=2)
        with ThreadPoolExecutor(3) as pool:
            came = list(pool.map(lambda n: backend.read([(shown(n, key=str(n)), ASKS)]), range(3)))
    assert server.most == 2 and not [read.error for [reads] in came for read in reads if read.error]


# --- writing ---


def test_what_is_written_comes_back_and_the_schema_is_sent() -> None:
    with Server() as server:
        [[came]] = served(server).write(
            [(shown(), [Ask(name="q", text="Why?", lead="")])], most_tokens=50, schema=SCHEMA
        )
    body = server.posts[0]
    assert (came.text, came.finished, came.error) == ('{"note": "A walk."}', True, "")
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA and body["max_tokens"] == 50
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert "continue_final_message" not in body and "logprobs" not in body


def test_a_server_without_schemas_is_asked_once_without_and_that_is_noted() -> None:
    with Server(lacks=("a JSON schema",)) as server, noting() as notes:
        asks = [Ask(name=str(n), text="Why?", lead="") for n in range(3)]
        came = served(server).write([(shown(), asks)], most_tokens=50, schema=SCHEMA)[0]
    assert not [one.error for one in came if one.error]
    assert ["response_format" in body for body in server.posts] == [True, False, False, False]
    assert len(notes) == 1 and "a JSON schema" in notes[0]


def test_an_answer_at_its_limit_is_not_finished() -> None:
    with Server(lambda body: "The light is ...") as server:
        [[came]] = served(server).write([(shown(), ASKS[:1])], most_tokens=3)
    assert (came.text, came.finished, came.error) == ("The light is ", False, "")


def test_a_loop_is_cut_and_not_finished() -> None:
    with Server(lambda body: "The light is good. " + "It is good. " * 40 + "...") as server:
        [[came]] = served(server).write([(shown(), ASKS[:1])], most_tokens=500)
    assert not came.finished and len(came.text) < 60 and came.text.startswith("The light is good. I")


def test_an_answer_past_its_limit_is_an_error() -> None:
    with Server(fault=lambda number, body: "too long") as server:
        [[came]] = served(server).write([(shown(), ASKS[:1])], most_tokens=5)
    assert "wrote 12 tokens; 5 were allowed" in came.error and not came.finished and came.text == ""


# --- keys and names ---


def test_the_key_comes_from_the_environment_and_stands_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sesame-11")
    with Server(key="sesame-11") as server:
        backend = served(server, key_env="MY_KEY")
        assert not backend.read([(shown(), ASKS[:1])])[0][0].error
        assert "sesame" not in backend.identity + repr(backend.settings) + repr(vars(backend))


def test_a_server_that_repeats_the_key_does_not_bring_it_into_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "fault")
    with Server(fault=lambda number, body: "400") as server:
        [[read]] = served(server, key_env="MY_KEY").read([(shown(), ASKS[:1])])
    assert "(400): *** 400" in read.error


def test_a_wrong_key_names_the_variable_and_not_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "wrong-key")
    with Server(key="right") as server:
        [[read]] = served(server, key_env="MY_KEY").read([(shown(), ASKS[:1])])
    assert "MY_KEY" in read.error and "wrong-key" not in read.error


@pytest.mark.parametrize(
    "url", ["judge:8000", "ftp://judge/v1", "http://me:secret@judge/v1", "http://judge/v1?key=secret"]
)
def test_a_url_that_is_none_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ServedBackend(JudgeSettings(kind="served", model="judge", endpoints=(url,)))
    assert "secret" not in str(caught.value)


def test_the_identity_is_that_of_the_weights_and_not_of_the_machine() -> None:
    with Server(cards={"root": "/here/Qwen3-VL"}) as here, Server(cards={"root": "/there/Qwen3-VL"}) as there:
        identity = served(here).identity
        assert identity == served(there).identity == served(here, there).identity
    assert "127.0.0.1" not in identity and "Qwen3-VL" in identity and "vllm" in identity


def test_two_judges_that_know_nothing_of_their_weights_are_not_one() -> None:
    server = Server()
    server.die()
    assert served(server).identity != served(server).identity
