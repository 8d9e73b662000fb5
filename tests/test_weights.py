"""Weights on this machine: where they are found, and that nothing wrong is ever taken for them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mirrors import BLOB, COMMIT, House, entry, house, sha256

from cinereward import weights
from cinereward.errors import WeightsError

__all__ = ["house"]  # a fixture
OTHER = BLOB[::-1]
UNKNOWN = {"name": "m.pt"}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something asked for the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


# --- found ---


def test_missing_weights_name_the_commands_that_bring_them(house: House) -> None:
    with pytest.raises(WeightsError, match=r"fetch tiny; or name a copy: cinereward weights add tiny PATH"):
        weights.locate("tiny")


def test_weights_that_nobody_can_fetch_say_what_to_do(house: House) -> None:
    house.knows(tiny=entry(source={"by_hand": "ask their author"}))
    with pytest.raises(WeightsError, match="ask their author; then: cinereward weights add tiny PATH"):
        weights.locate("tiny")


def test_added_weights_are_found_where_they_lie(house: House) -> None:
    file = house.write("elsewhere/m.pt")
    weights.add("tiny", file)
    found = weights.locate("tiny")
    assert (found.path, found.folder, found.place, found.own) == (file, file.parent, "added", False)


def test_one_file_may_have_any_name(house: House) -> None:
    weights.add("tiny", house.write("downloads/model (1).pt"))
    assert list(weights.locate("tiny").files) == ["m.pt"]


def test_weights_in_the_home_folder_are_found(house: House) -> None:
    file = house.write("home/weights/tiny/m.pt")
    assert weights.locate("tiny").place == "home" and weights.locate("tiny").path == file


def test_weights_in_the_hugging_face_cache_are_found(house: House) -> None:
    link = house.cached("m.pt", BLOB)
    assert weights.locate("tiny").place == "cache" and weights.locate("tiny").path == link


@pytest.mark.parametrize(
    ("variable", "under"), [("HF_HUB_CACHE", "hub"), ("HUGGINGFACE_HUB_CACHE", "hub"), ("XDG_CACHE_HOME", "")]
)
def test_the_cache_is_where_its_own_variables_say(
    house: House, monkeypatch: pytest.MonkeyPatch, variable: str, under: str
) -> None:
    house.cached("m.pt", BLOB)
    (house.root / "hf").rename(house.root / "huggingface")
    link = house.root / "huggingface/hub/models--org--tiny/snapshots" / COMMIT / "m.pt"
    link.unlink()
    link.symlink_to(f"../../blobs/{sha256(BLOB)}")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv(variable, str(house.root / "huggingface" / under) if under else str(house.root))
    assert weights.locate("tiny").place == "cache"


def test_the_order_is_added_then_home_then_cache(house: House) -> None:
    house.cached("m.pt", BLOB)
    places = [weights.locate("tiny").place]
    house.write("home/weights/tiny/m.pt")
    places.append(weights.locate("tiny").place)
    weights.add("tiny", house.write("elsewhere/m.pt"))
    places.append(weights.locate("tiny").place)
    assert places == ["cache", "home", "added"]


def test_where_added_weights_have_gone_the_next_place_is_taken(house: House) -> None:
    weights.add("tiny", house.write("elsewhere/m.pt")).path.unlink()
    with pytest.raises(WeightsError, match=r"they were at .*elsewhere"):
        weights.locate("tiny")
    house.cached("m.pt", BLOB)
    assert weights.locate("tiny").place == "cache"


def test_a_folder_that_lacks_a_file_is_no_place(house: House) -> None:
    house.knows(tiny=entry({"name": "a"}, {"name": "b"}))
    house.write("home/weights/tiny/a")
    with pytest.raises(WeightsError, match="are not on this machine"):
        weights.locate("tiny")


def test_a_pin_inside_the_home_folder_moves_with_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.knows(tiny=entry(UNKNOWN))
    weights.add("tiny", house.write("home/weights/tiny/m.pt"))
    house.home.rename(house.root / "moved")
    monkeypatch.setenv("CINEREWARD_HOME", str(house.root / "moved"))
    assert weights.locate("tiny").folder == house.root / "moved/weights/tiny"


def test_an_unknown_name_is_told_with_those_that_look_alike(house: House) -> None:
    with pytest.raises(WeightsError, match="did you mean tiny"):
        weights.locate("tinny")


@pytest.mark.parametrize("name", ["../tiny", "a/b", "", ".tiny", "tiny\n"])
def test_a_name_is_no_path(house: House, name: str) -> None:
    with pytest.raises(WeightsError, match="is no name for weights"):
        weights.locate(name)


# --- verified ---


def test_a_wrong_hash_tells_both_and_loads_nothing(house: House) -> None:
    house.write("home/weights/tiny/m.pt", OTHER)
    with pytest.raises(WeightsError) as told:
        weights.locate("tiny")
    assert f"has sha256 {sha256(OTHER)}, expected {sha256(BLOB)}; nothing was loaded" in str(told.value)
    assert "cinereward weights fetch tiny" in str(told.value)


def test_a_file_that_is_cut_short_tells_the_sizes(house: House) -> None:
    house.write("home/weights/tiny/m.pt", BLOB[:-1])
    with pytest.raises(WeightsError, match=f"cut short: {len(BLOB) - 1} bytes came, {len(BLOB)} were expected"):
        weights.locate("tiny")


def test_wrong_weights_are_not_added(house: House) -> None:
    with pytest.raises(WeightsError, match="expected"):
        weights.add("tiny", house.write("elsewhere/m.pt", OTHER))
    assert weights.pin_of("tiny") is None


def test_a_file_that_changes_behind_its_pin_is_refused(house: House) -> None:
    house.knows(tiny=entry(UNKNOWN))
    weights.add("tiny", house.write("elsewhere/m.pt"))
    house.write("elsewhere/m.pt", OTHER)
    with pytest.raises(WeightsError, match=f"expected {sha256(BLOB)} as it was pinned"):
        weights.locate("tiny")


def test_what_nobody_vouches_for_is_not_loaded_until_it_is_added(house: House) -> None:
    house.knows(tiny=entry(UNKNOWN))
    file = house.write("home/weights/tiny/m.pt")
    with pytest.raises(WeightsError, match=f"nothing says what .*; if you trust it: .* add tiny {file.parent}"):
        weights.locate("tiny")
    weights.add("tiny", file.parent)
    assert weights.locate("tiny").sha256 == sha256(BLOB)


def test_the_manifest_is_believed_before_a_pin(house: House) -> None:
    house.knows(tiny=entry(UNKNOWN))
    weights.add("tiny", house.write("elsewhere/m.pt", OTHER))
    house.knows(tiny=entry())
    with pytest.raises(WeightsError, match=f"expected {sha256(BLOB)};"):
        weights.locate("tiny")


def test_a_published_prefix_is_held(house: House) -> None:
    house.knows(tiny=entry(UNKNOWN | {"sha256_prefix": sha256(BLOB)[:8]}))
    house.write("home/weights/tiny/m.pt")
    assert weights.locate("tiny").sha256 == sha256(BLOB)
    house.write("home/weights/tiny/m.pt", OTHER)
    with pytest.raises(WeightsError, match=f"expected {sha256(BLOB)[:8]}\\.\\.\\."):
        weights.locate("tiny")


def test_the_cache_calls_large_files_by_their_sha256(house: House) -> None:
    house.knows(tiny=entry(UNKNOWN))
    link = house.cached("m.pt", BLOB)
    assert weights.locate("tiny").sha256 == sha256(BLOB)
    link.resolve().write_bytes(OTHER)
    with pytest.raises(WeightsError, match=f"expected {sha256(BLOB)} by its name in the cache"):
        weights.locate("tiny")


def test_the_cache_calls_small_files_as_git_does(house: House) -> None:
    house.knows(tiny=entry({"name": "config.json"}))
    # `printf '{}' | git hash-object --stdin`
    link = house.cached("config.json", b"{}", blob="9e26dfeeb6e641a33dae4961196235bdb965b21b")
    assert weights.locate("tiny").sha256 == sha256(b"{}")
    link.resolve().write_bytes(b"[]")
    with pytest.raises(WeightsError, match="expected the git blob 9e26dfee"):
        weights.locate("tiny")


def test_without_a_revision_the_cached_main_is_taken(house: House) -> None:
    house.knows(tiny=entry(source={"repo": "org/tiny"}))
    house.cached("m.pt", OTHER, commit="b" * 40)
    house.cached("m.pt", BLOB, commit="c" * 40)
    house.write("hf/hub/models--org--tiny/refs/main", b"c" * 40)
    assert weights.locate("tiny").folder.name == "c" * 40


def test_a_reference_out_of_the_cache_is_not_followed(house: House) -> None:
    house.knows(tiny=entry(source={"repo": "org/tiny"}))
    house.write("hf/hub/models--org--tiny/m.pt")
    house.write("hf/hub/models--org--tiny/refs/main", b"..")
    with pytest.raises(WeightsError, match="are not on this machine"):
        weights.locate("tiny")


def test_a_pipe_is_no_file(house: House) -> None:
    (house.home / "weights/tiny").mkdir(parents=True)
    os.mkfifo(house.home / "weights/tiny/m.pt")
    with pytest.raises(WeightsError, match="are not on this machine"):
        weights.locate("tiny")


def test_a_file_is_read_once_as_long_as_it_stays_the_same(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    file, read = house.write("home/weights/tiny/m.pt"), []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: read.append(1) or real(*given))
    weights.locate("tiny")
    weights.locate("tiny")
    assert len(read) == 1
    os.utime(file, (1, 1))
    weights.locate("tiny")
    assert len(read) == 2


# --- one's own ---


def test_your_own_weights_stand_in_the_place_of_the_published(house: House) -> None:
    house.write("home/weights/tiny/m.pt")
    weights.add("tiny", house.write("mine/other.pt", OTHER), own=True)
    found = weights.locate("tiny")
    assert found.own and found.files == {"other.pt": house.root / "mine/other.pt"}


def test_your_own_may_have_a_name_that_the_manifest_lacks(house: House) -> None:
    weights.add("my-net", house.write("mine/net.pt"), own=True)
    assert weights.locate("my-net").sha256 == sha256(BLOB) and weights.pinned_names() == ["my-net"]


def test_a_folder_of_your_own_holds_files_in_folders_and_none_that_are_hidden(house: House) -> None:
    for name in ("config.json", "tokenizer/vocab.txt", ".git/config", ".DS_Store"):
        house.write(f"mine/{name}")
    found = weights.add("tiny", house.root / "mine", own=True)
    assert sorted(found.files) == ["config.json", "tokenizer/vocab.txt"] and found.folder == house.root / "mine"


def test_a_snapshot_of_the_cache_keeps_its_names(house: House) -> None:
    link = house.cached("m.pt", BLOB)
    weights.add("tiny", link.parent, own=True)
    assert weights.locate("tiny").path == link


def test_your_own_weights_that_are_gone_are_never_replaced_in_silence(house: House) -> None:
    house.write("home/weights/tiny/m.pt")
    weights.add("tiny", house.write("mine/other.pt", OTHER), own=True).path.unlink()
    with pytest.raises(WeightsError, match=r"your own weights tiny are gone .* add tiny PATH --own"):
        weights.locate("tiny")


def test_your_own_weights_that_change_are_refused(house: House) -> None:
    weights.add("tiny", house.write("mine/other.pt", OTHER), own=True)
    house.write("mine/other.pt", BLOB)
    with pytest.raises(WeightsError, match=f"{sha256(BLOB)}, expected {sha256(OTHER)}"):
        weights.locate("tiny")


@pytest.mark.parametrize("own", [True, False])
def test_nothing_is_added_that_is_not_there(house: House, own: bool) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        weights.add("tiny", house.root / "nothing", own=own)


def test_an_empty_folder_is_not_added(house: House) -> None:
    (house.root / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds no files"):
        weights.add("tiny", house.root / "empty", own=True)


def test_a_folder_of_all_ones_things_is_not_added(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MOST_FILES", 3)
    for at in range(4):
        house.write(f"mine/{at}")
    with pytest.raises(WeightsError, match="holds over 3 files"):
        weights.add("tiny", house.root / "mine", own=True)


def test_a_folder_that_lacks_files_says_which_and_how_to_add_ones_own(house: House) -> None:
    house.knows(tiny=entry({"name": "a"}, {"name": "b"}))
    file = house.write("elsewhere/a")
    with pytest.raises(WeightsError, match=r"lacks b; .* --own"):
        weights.add("tiny", file.parent)
    with pytest.raises(WeightsError, match=r"are 2 files \(a, b\); give their folder"):
        weights.add("tiny", file)


# --- what they are ---


def test_one_file_has_its_own_sha256(house: House) -> None:
    assert weights.add("tiny", house.write("elsewhere/m.pt")).sha256 == sha256(BLOB)


def test_several_files_have_that_of_the_lines_of_sha256sum(house: House) -> None:
    for name in ("b", "a"):
        house.write(f"mine/{name}", name.encode())
    found = weights.add("tiny", house.root / "mine", own=True)
    # `cd mine && sha256sum a b | sha256sum`
    assert found.sha256 == "cb13f400dcb618e400d0f7d54f7cdb330d37a07272cb99a1016cda5830a10556"


def test_the_identity_is_the_name_and_twelve_digits(house: House) -> None:
    weights.add("tiny", house.write("elsewhere/m.pt"))
    assert weights.identity("tiny") == f"tiny@{sha256(BLOB)[:12]}"


def test_several_files_have_no_single_path(house: House) -> None:
    for name in ("a", "b"):
        house.write(f"mine/{name}")
    with pytest.raises(WeightsError, match=r"are 2 files \(a, b\); expected one file"):
        _ = weights.add("tiny", house.root / "mine", own=True).path


@settings(max_examples=25)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.binary(max_size=40), min_size=2, max_size=4))
def test_the_sha256_depends_on_names_and_contents_alone(tmp_path_factory: Any, files: dict[str, bytes]) -> None:
    sums = []
    with pytest.MonkeyPatch.context() as patch:
        for order in (list(files), list(reversed(files))):
            root = tmp_path_factory.mktemp("weights")
            patch.setenv("CINEREWARD_HOME", str(root / "home"))
            (root / "mine").mkdir()
            for name in order:
                (root / "mine" / name).write_bytes(files[name])
            sums.append(weights.add("mine", root / "mine", own=True).sha256)
            assert weights.locate("mine").sha256 == sums[-1]
            shutil.rmtree(root)
    assert sums[0] == sums[1]


# --- pins ---


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"own": true, "files": {}}', '{"own": true, "files": {"a": 3}}'])
def test_a_pin_that_cannot_be_read_names_its_file(house: House, text: str) -> None:
    house.write("home/pins/tiny.json", text.encode())
    with pytest.raises(WeightsError, match=r"pins/tiny\.json cannot be read .*delete it"):
        weights.locate("tiny")


def test_a_pin_is_whole_whoever_writes_beside(house: House) -> None:
    files = [house.write(f"mine/{at}.pt", bytes([at]) * 100) for at in range(8)]

    def work(at: int) -> str:
        weights.add("tiny", files[at % 8], own=True)
        return weights.locate("tiny").sha256

    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(work, range(64)))
    assert seen <= {sha256(file.read_bytes()) for file in files}
    assert [path.name for path in (house.home / "pins").iterdir()] == ["tiny.json"]


def test_a_home_that_cannot_be_written_names_the_variable(house: House) -> None:
    house.write("home", b"a file")
    with pytest.raises(WeightsError, match=r"cannot be written .*set \$CINEREWARD_HOME"):
        weights.add("tiny", house.write("elsewhere/m.pt"))


def test_a_pin_outside_the_home_is_kept_as_its_path(house: House) -> None:
    file = house.write("elsewhere/m.pt")
    weights.add("tiny", file)
    told = json.loads((house.home / "pins/tiny.json").read_text())
    assert told["files"]["m.pt"] == {"path": str(file), "size": len(BLOB), "sha256": sha256(BLOB)}


def test_the_home_is_the_cache_folder_of_the_user_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CINEREWARD_HOME", raising=False)
    assert weights.home() == Path.home() / ".cache" / "cinereward"
