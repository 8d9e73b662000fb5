"""Fetching weights from a server on this machine that can misbehave; nothing here leaves it."""

from __future__ import annotations

import fcntl
import io
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from mirrors import BLOB, COMMIT, House, Server, entry, house, server, sha256

from cinereward import weights
from cinereward.errors import WeightsError
from cinereward.fetching import Terms, address, clear_archives, fetch
from cinereward.manifest import load_manifest

__all__ = ["house", "server"]  # fixtures
QUICK = Terms(timeout=0.3)
UNKNOWN = {"name": "m.pt"}
AT = f"/org/tiny/resolve/{COMMIT}/m.pt"


@pytest.fixture
def hub(house: House, server: Server) -> Server:
    """A server that is the hub and has the file of `tiny`."""
    house.knows(hub=server.url, tiny=entry())
    server.files[AT] = BLOB
    return server


def get(name: str = "tiny", terms: Terms = QUICK) -> weights.Located:
    return fetch(name, load_manifest().weights[name], terms)


def part(house: House) -> Path:
    return house.home / "weights/tiny/m.pt.part"


def nothing_stays(house: House) -> bool:
    return not [path for path in house.home.rglob("*") if path.is_file()]


# --- what goes well ---


def test_a_file_is_fetched_verified_and_pinned(house: House, hub: Server) -> None:
    assert get().path == house.home / "weights/tiny/m.pt"
    assert weights.locate("tiny").path.read_bytes() == BLOB and weights.pinned_names() == ["tiny"]


def test_what_is_here_is_not_fetched_again(house: House, hub: Server) -> None:
    house.write("home/weights/tiny/m.pt")
    get()
    assert hub.asked == []


def test_what_is_here_and_wrong_is_fetched_again(house: House, hub: Server) -> None:
    house.write("home/weights/tiny/m.pt", BLOB[::-1])
    assert get().path.read_bytes() == BLOB


def test_progress_ends_at_the_size(hub: Server) -> None:
    told: list[tuple[str, int, int | None]] = []
    get(terms=Terms(timeout=5, tell=lambda *step: told.append(step)))
    assert told[-1] == ("m.pt", len(BLOB), len(BLOB))


def test_a_part_is_gone_on_with(house: House, hub: Server) -> None:
    house.write("home/weights/tiny/m.pt.part", BLOB[:1000])
    assert get().path.read_bytes() == BLOB
    assert hub.asked[0][1]["Range"] == "bytes=1000-" and not part(house).exists()


def test_a_whole_part_needs_no_server(house: House, hub: Server) -> None:
    house.write("home/weights/tiny/m.pt.part", BLOB)
    assert get().path.read_bytes() == BLOB and hub.asked == []


@pytest.mark.parametrize("size", [len(BLOB) + 1, len(BLOB) * 2])
def test_a_part_that_is_too_long_is_started_over(house: House, hub: Server, size: int) -> None:
    house.write("home/weights/tiny/m.pt.part", bytes(size))
    assert get().path.read_bytes() == BLOB and "Range" not in hub.asked[0][1]


def test_a_server_that_cannot_go_on_starts_over(house: House, hub: Server) -> None:
    hub.ways[AT] = "no ranges"
    house.write("home/weights/tiny/m.pt.part", bytes(1000))
    assert get().path.read_bytes() == BLOB


def test_a_part_that_the_server_will_not_go_on_with_is_started_over(house: House, hub: Server) -> None:
    known = {"name": "m.pt", "sha256": sha256(BLOB)}
    house.knows(hub=hub.url, tiny=entry(known))
    house.write("home/weights/tiny/m.pt.part", BLOB)  # without a size nobody knows that it is whole
    assert get().path.read_bytes() == BLOB
    assert ["Range" in headers for _, headers in hub.asked] == [True, False]


def test_a_part_of_a_file_without_a_hash_is_never_gone_on_with(house: House, hub: Server) -> None:
    house.knows(hub=hub.url, tiny=entry(UNKNOWN))
    house.write("home/weights/tiny/m.pt.part", bytes(1000))
    assert get().path.read_bytes() == BLOB and "Range" not in hub.asked[0][1]


def test_a_file_without_a_hash_is_pinned_when_it_comes_and_held_to_that(house: House, hub: Server) -> None:
    house.knows(hub=hub.url, tiny=entry(UNKNOWN))
    get().path.unlink()
    hub.files[AT] = BLOB[::-1]
    with pytest.raises(WeightsError, match=f"{sha256(BLOB[::-1])} came, {sha256(BLOB)} was expected"):
        get()


def test_a_mirror_has_files_by_name(house: House, server: Server) -> None:
    server.files["/weights/tiny/m.pt"] = BLOB
    get(terms=Terms(mirror=f"{server.url}/weights/", timeout=5))
    assert server.paths() == ["/weights/tiny/m.pt"]


def test_a_mirror_serves_what_is_in_an_archive_and_what_nobody_can_fetch(house: House, server: Server) -> None:
    packed = {"name": "m.pt", "inside": "deep/m.pt", "sha256": sha256(BLOB)}
    house.knows(tiny=entry(packed, source={"url": "https://a.example/b.zip"}), other=entry(source={"by_hand": "ask"}))
    server.files |= {"/tiny/m.pt": BLOB, "/other/m.pt": BLOB}
    terms = Terms(mirror=server.url, timeout=5)
    assert {get(name, terms).sha256 for name in ("tiny", "other")} == {sha256(BLOB)}


def test_hugging_face_has_another_endpoint_where_the_user_says_so(
    house: House, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/")
    server.files[AT] = BLOB
    assert get().sha256 == sha256(BLOB)


def test_an_address_has_the_revision_or_main(house: House) -> None:
    told = load_manifest().weights["tiny"]
    assert address("tiny", told, told.files[0]) == f"https://huggingface.co{AT}"
    house.knows(tiny=entry(source={"repo": "org/tiny"}))
    assert "/resolve/main/" in address("tiny", load_manifest().weights["tiny"], told.files[0])


# --- what goes wrong ---


def test_a_wrong_hash_is_told_and_thrown_away(house: House, hub: Server) -> None:
    hub.files[AT] = BLOB[::-1]
    with pytest.raises(WeightsError, match=f"sha256 {sha256(BLOB[::-1])} came, {sha256(BLOB)} was expected"):
        get()
    assert nothing_stays(house)


def test_a_wrong_start_is_thrown_away_with_the_rest(house: House, hub: Server) -> None:
    house.write("home/weights/tiny/m.pt.part", bytes(1000))
    with pytest.raises(WeightsError, match="was expected"):
        get()
    assert get().path.read_bytes() == BLOB  # and the next try starts over


def test_a_body_that_breaks_off_tells_the_sizes_and_is_gone_on_with(house: House, hub: Server) -> None:
    hub.ways[AT] = "cut"
    with pytest.raises(
        WeightsError, match=f"{len(BLOB) // 2} bytes came, {len(BLOB)} were expected; what came is kept"
    ):
        get()
    assert part(house).read_bytes() == BLOB[: len(BLOB) // 2] and not part(house).with_suffix("").exists()
    del hub.ways[AT]
    assert get().path.read_bytes() == BLOB and hub.asked[-1][1]["Range"] == f"bytes={len(BLOB) // 2}-"


def test_a_body_without_a_hash_that_breaks_off_leaves_nothing(house: House, hub: Server) -> None:
    house.knows(hub=hub.url, tiny=entry(UNKNOWN))
    hub.ways[AT] = "cut"
    with pytest.raises(WeightsError, match="it broke off"):
        get()
    assert nothing_stays(house)


def test_another_size_than_the_manifest_names_is_not_fetched(house: House, hub: Server) -> None:
    hub.files[AT] = b"<html>please log in</html>"
    with pytest.raises(WeightsError, match=f"it has 26 bytes, {len(BLOB)} were expected"):
        get()
    assert nothing_stays(house)


@pytest.mark.parametrize(
    ("code", "advice"), [(404, "--mirror"), (401, "set HF_TOKEN"), (403, "set HF_TOKEN"), (503, "try again later")]
)
def test_an_answer_that_is_no_file_says_what_to_do(house: House, hub: Server, code: int, advice: str) -> None:
    hub.ways[AT] = code
    with pytest.raises(WeightsError, match=f"answered {code} .*{advice}"):
        get()
    assert nothing_stays(house)


@pytest.mark.parametrize("way", ["silent", "slow"])
def test_a_server_that_keeps_us_waiting_is_left_within_the_limit(house: House, hub: Server, way: str) -> None:
    hub.ways[AT] = way
    since = time.monotonic()
    with pytest.raises(WeightsError, match=r"no answer within 0\.3 s"):
        get()
    assert time.monotonic() - since < 5 and len(hub.asked) == 1  # once, and no second try


def test_a_server_that_is_not_there_is_told_at_once(house: House) -> None:
    house.knows(hub="http://127.0.0.1:9", tiny=entry())
    with pytest.raises(WeightsError, match="refused; without a network, `fetch --offline` tells"):
        get()
    assert nothing_stays(house)


@pytest.mark.parametrize("url", ["http://a.example", "file:///etc", "ftp://a.example", "//a.example", "a.example"])
def test_nothing_but_https_is_asked(house: House, url: str) -> None:
    with pytest.raises(WeightsError, match="is not https"):
        get(terms=Terms(mirror=url))


@pytest.mark.parametrize("url", ["http://a.example/m.pt", "file:///etc/passwd", "ftp://a.example/m.pt"])
def test_nobody_is_sent_away_from_https(house: House, hub: Server, url: str) -> None:
    hub.ways[AT] = url
    with pytest.raises(WeightsError, match=r"is not https|is not allowed"):
        get()
    assert nothing_stays(house)


def test_a_server_that_goes_on_elsewhere_is_not_believed(house: House, hub: Server) -> None:
    hub.ways[AT] = "elsewhere"
    house.write("home/weights/tiny/m.pt.part", BLOB[:1000])
    with pytest.raises(WeightsError, match="it answered 206, not with the file"):
        get()
    assert part(house).read_bytes() == BLOB[:1000]


def test_a_circle_of_addresses_ends(hub: Server) -> None:
    hub.ways[AT] = f"{hub.url}{AT}"
    with pytest.raises(WeightsError, match="answered 302"):
        get()


def test_the_token_goes_to_the_hub_and_no_further(house: House, hub: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub.ways[AT], hub.files["/far"] = f"{hub.url.replace('127.0.0.1', 'localhost')}/far", BLOB
    get()
    assert [headers.get("Authorization") for _, headers in hub.asked] == ["Bearer secret", None]


def test_the_token_never_goes_to_a_mirror(house: House, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    server.files["/tiny/m.pt"] = BLOB
    get(terms=Terms(mirror=server.url, timeout=5))
    assert "Authorization" not in server.asked[0][1]


def test_what_hugging_face_says_of_a_file_is_held_where_nobody_else_does(house: House, hub: Server) -> None:
    house.knows(hub=hub.url, tiny=entry(UNKNOWN))
    hub.ways[AT], hub.files["/far"], hub.linked[AT] = f"{hub.url}/far", BLOB, "0" * 64
    with pytest.raises(WeightsError, match=f"{sha256(BLOB)} came, {'0' * 64} was expected"):
        get()
    hub.linked[AT] = sha256(BLOB)
    assert get().sha256 == sha256(BLOB)


def test_two_do_not_write_one_file(house: House, hub: Server) -> None:
    held = house.write("home/weights/tiny/m.pt.part", BLOB[:1000])
    with held.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(WeightsError, match="is being fetched by another process"):
            get()
    assert held.read_bytes() == BLOB[:1000]


def test_a_full_disk_is_told_before_anything_is_written(
    house: House, hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.disk_usage(house.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=5))
    with pytest.raises(WeightsError, match=f"{len(BLOB)} bytes are needed and .* has 5 free"):
        get()
    assert nothing_stays(house)


def test_a_home_that_cannot_be_written_is_told(house: House, hub: Server) -> None:
    house.write("home", b"a file")
    with pytest.raises(WeightsError, match="cannot be written"):
        get()


def test_what_a_person_has_to_get_says_how(house: House) -> None:
    house.knows(tiny=entry(source={"by_hand": "ask their author"}))
    with pytest.raises(WeightsError, match=r"ask their author; then: cinereward weights add tiny PATH"):
        get()


# --- archives ---


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, data in files.items():
            made.writestr(f"deep/{name}.pt", data)
    return buffer.getvalue()


def packs(house: House, server: Server, data: bytes, **known: Any) -> None:
    """A manifest with two weights in one archive, and the archive on the server."""
    source = {"url": f"{server.url}/pack.zip"} | known
    files = {
        name: {"name": f"{name}.pt", "inside": f"deep/{name}.pt", "sha256": sha256(BLOB)} for name in ("one", "two")
    }
    house.knows(**{name: entry(file, source=source) for name, file in files.items()})
    server.files["/pack.zip"] = data


def test_an_archive_is_fetched_once_for_all_that_is_in_it(house: House, server: Server) -> None:
    packs(house, server, archive(one=BLOB, two=BLOB, three=b"unasked"))
    get("one"), get("two")
    clear_archives(load_manifest().weights.values())
    assert server.paths() == ["/pack.zip"]
    assert sorted(path.name for path in house.home.rglob("*.*")) == ["one.json", "one.pt", "two.json", "two.pt"]


def test_an_archive_of_another_hash_is_not_opened(house: House, server: Server) -> None:
    packs(house, server, archive(one=BLOB), archive_sha256="0" * 64)
    with pytest.raises(WeightsError, match=f"{'0' * 64} was expected; it was thrown away"):
        get("one")
    assert nothing_stays(house)


@pytest.mark.parametrize("data", [b"no zip", archive(two=BLOB), archive(one=BLOB)[:-40]])
def test_an_archive_that_does_not_hold_the_file_is_told(house: House, server: Server, data: bytes) -> None:
    packs(house, server, data)
    with pytest.raises(WeightsError, match=r"deep/one\.pt cannot be taken out of pack\.zip"):
        get("one")
    assert nothing_stays(house)


def test_a_wrong_file_in_an_archive_is_thrown_away(house: House, server: Server) -> None:
    packs(house, server, archive(one=BLOB[::-1]))
    with pytest.raises(WeightsError, match=r"deep/one\.pt in pack\.zip: sha256 .* it was thrown away"):
        get("one")
    assert not (house.home / "weights/one/one.pt").exists()
