"""The command `cinereward weights`, and what the doctor tells of weights."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from click.testing import Result
from mirrors import BLOB, COMMIT, House, Server, entry, house, server, sha256
from typer.testing import CliRunner

from cinereward import cli, doctor, shelf, weights

__all__ = ["house", "server"]  # fixtures
AT = f"/org/tiny/resolve/{COMMIT}/m.pt"


def run(*words: object, **env: str) -> Result:
    return CliRunner().invoke(cli.app, ["weights", *map(str, words)], env={"COLUMNS": "100", **env})


@pytest.fixture
def hub(house: House, server: Server) -> Server:
    """A hub that has the file of `tiny`, and that of `strict`, which is not for commercial use."""
    strict = entry(commercial=False, licence="for research only", notes="Ask first.")
    house.knows(hub=server.url, tiny=entry(), strict=strict)
    server.files[AT] = BLOB
    return server


# --- list ---


def test_the_list_tells_licence_commerce_place_and_size(house: House) -> None:
    house.knows(tiny=entry(), strict=entry(commercial=False, licence="for research only"))
    house.write("home/weights/tiny/m.pt")
    told = run("list").stdout
    for word in ("tiny", "MIT", "commercial use: yes", "fetched", "strict", "for research only", "commercial use: no"):
        assert word in told
    assert "missing" in told and "102400 B" in told and "cinereward weights fetch NAME" in told


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_list_fits_the_terminal(house: House, width: int) -> None:
    house.knows(**{f"weights_{at}": entry(title="A long title " * 6, licence="long words " * 9) for at in range(3)})
    assert max(map(len, run("list", COLUMNS=str(width)).stdout.splitlines())) <= width


def test_the_list_as_json_has_all_that_is_known(house: House) -> None:
    house.write("home/weights/tiny/m.pt")
    (row,) = json.loads(run("list", "--json").stdout)
    assert (row["name"], row["place"], row["commercial"], row["size"]) == ("tiny", "home", True, len(BLOB))
    assert row["folder"] == str(house.home / "weights/tiny") and row["problem"] == ""


def test_your_own_weights_are_listed_as_own(house: House) -> None:
    weights.add("tiny", house.write("mine/a.pt"), own=True)
    weights.add("my-net", house.write("mine/b.pt"), own=True)
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert {row["place"] for row in rows.values()} == {"own"} and rows["tiny"]["commercial"] is None
    assert "your own" in run("list").stdout


def test_the_list_tells_a_file_that_is_cut_short_without_reading_it(house: House) -> None:
    house.write("home/weights/tiny/m.pt", b"short")
    (row,) = json.loads(run("list", "--json").stdout)
    assert (
        row["problem"] == f"m.pt has 5 bytes, not {len(BLOB)}" and row["problem"] in run("list", COLUMNS="160").stdout
    )


def test_the_list_tells_own_weights_that_are_gone(house: House) -> None:
    weights.add("tiny", house.write("mine/a.pt"), own=True).path.unlink()
    (row,) = json.loads(run("list", "--json").stdout)
    assert row["problem"] == f"a.pt has 0 bytes, not {len(BLOB)}"


def test_the_list_tells_a_broken_pin_and_the_others_go_on(house: House) -> None:
    house.knows(tiny=entry(), other=entry())
    house.write("home/pins/tiny.json", b"{")
    tiny, other = json.loads(run("list", "--json").stdout)
    assert "cannot be read" in tiny["problem"] and other["problem"] == ""


def test_a_broken_manifest_is_one_line_and_exit_code_2(house: House) -> None:
    house.write("manifest.yaml", b"weights: 3")
    got = run("list")
    assert got.exit_code == 2 and "error: " in got.stderr and got.stdout == ""


def test_the_shipped_manifest_is_listed_within_80_columns(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CINEREWARD_MANIFEST")
    told = run("list", COLUMNS="80").stdout
    assert "landmarks-106" in told and max(map(len, told.splitlines())) <= 80


# --- verify ---


def test_verify_hashes_what_is_here(house: House) -> None:
    house.knows(tiny=entry(), other=entry())
    house.write("home/weights/tiny/m.pt")
    got = run("verify")
    assert got.exit_code == 0 and got.stdout.startswith(f"right  {sha256(BLOB)}  tiny")


def test_verify_tells_each_that_is_wrong_and_is_exit_code_1(house: House) -> None:
    house.knows(tiny=entry(), other=entry())
    house.write("home/weights/tiny/m.pt", BLOB[::-1])
    house.write("home/weights/other/m.pt")
    got = run("verify")
    assert got.exit_code == 1 and f"expected {sha256(BLOB)}" in got.stderr and "other" in got.stdout


def test_verify_of_a_name_that_is_missing_is_exit_code_1(house: House) -> None:
    assert run("verify", "tiny").exit_code == 1 and run("verify").exit_code == 0


# --- add ---


def test_add_says_that_files_stay_where_they_are(house: House) -> None:
    got = run("add", "tiny", house.write("elsewhere/m.pt"))
    assert got.exit_code == 0 and f"1 file in {house.root / 'elsewhere'}, sha256 {sha256(BLOB)}" in got.stdout
    assert "They stay there" in got.stdout and weights.locate("tiny").place == "added"


@pytest.mark.parametrize(("own", "under"), [(False, "weights"), (True, "own")])
def test_a_copy_is_found_when_the_original_is_gone(house: House, own: bool, under: str) -> None:
    file = house.write("elsewhere/m.pt")
    got = run("add", "tiny", file, "--copy", *(["--own"] if own else []))
    file.unlink()
    found = weights.locate("tiny")
    assert got.exit_code == 0 and found.folder == house.home / under / "tiny" and found.own is own


def test_a_copy_of_a_folder_keeps_its_names(house: House) -> None:
    for name in ("config.json", "deep/model.bin"):
        house.write(f"mine/{name}", name.encode())
    run("add", "tiny", house.root / "mine", "--own", "--copy")
    found = weights.locate("tiny")
    assert {name: path.read_bytes() for name, path in found.files.items()} == {
        name: name.encode() for name in ("config.json", "deep/model.bin")
    }


def test_nothing_is_copied_onto_itself(house: House) -> None:
    before = house.write("home/weights/tiny/m.pt").stat()
    assert run("add", "tiny", house.home / "weights/tiny", "--copy").exit_code == 0
    assert weights.locate("tiny").path.stat().st_ino == before.st_ino


def test_wrong_weights_are_not_copied_and_exit_code_2(house: House) -> None:
    got = run("add", "tiny", house.write("elsewhere/m.pt", BLOB[::-1]), "--copy")
    assert got.exit_code == 2 and "nothing was loaded" in got.stderr and not house.home.exists()


def test_add_tells_the_licence(house: House) -> None:
    house.knows(tiny=entry(commercial=False, licence="for research only", notes="Ask first."))
    told = run("add", "tiny", house.write("elsewhere/m.pt")).stdout
    assert "licence: for research only; not for commercial use" in told and "Ask first." in told


# --- fetch ---


def test_fetch_brings_verifies_and_tells_the_licence(hub: Server) -> None:
    got = run("fetch", "tiny")
    assert got.exit_code == 0 and f"sha256 {sha256(BLOB)}" in got.stdout and "licence: MIT" in got.stdout
    assert weights.locate("tiny").place == "added"


def test_fetch_of_what_is_here_says_so_and_asks_nobody(house: House, hub: Server) -> None:
    house.cached("m.pt", BLOB)
    got = run("fetch", "tiny")
    assert got.exit_code == 0 and "here already" in got.stdout and hub.asked == []


def test_what_is_not_for_commerce_is_refused_with_its_licence(hub: Server) -> None:
    got = run("fetch", "tiny", "strict")
    assert got.exit_code == 2 and "strict: for research only" in got.stderr and "--accept-licence" in got.stderr
    assert hub.asked == []


def test_what_is_not_for_commerce_is_fetched_when_the_licence_is_kept(hub: Server) -> None:
    assert run("fetch", "strict", "--accept-licence").exit_code == 0
    assert weights.locate("strict").sha256 == sha256(BLOB)


def test_one_that_fails_does_not_stop_the_others(house: House, hub: Server) -> None:
    house.knows(hub=hub.url, lost=entry(source={"url": f"{hub.url}/lost"}), tiny=entry())
    got = run("fetch", "lost", "tiny")
    assert got.exit_code == 1 and "failed: " in got.stderr and "404" in got.stderr
    assert weights.locate("tiny").sha256 == sha256(BLOB)


def test_no_archive_stays_behind(house: House, server: Server) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("m.pt", BLOB)
    packed = {"name": "m.pt", "inside": "m.pt", "sha256": sha256(BLOB)}
    house.knows(tiny=entry(packed, source={"url": f"{server.url}/pack.zip"}))
    server.files["/pack.zip"] = buffer.getvalue()
    assert run("fetch", "tiny").exit_code == 0 and not list(house.home.rglob("*.zip"))


def test_a_name_that_nobody_knows_is_exit_code_2_before_anything_is_fetched(hub: Server) -> None:
    got = run("fetch", "tiny", "tinny")
    assert got.exit_code == 2 and "did you mean tiny" in got.stderr and hub.asked == []


def test_fetch_takes_the_place_of_your_own_and_says_so(house: House, hub: Server) -> None:
    weights.add("tiny", house.write("mine/a.pt", b"mine"), own=True)
    got = run("fetch", "tiny")
    assert "takes the place of your own weights" in got.stderr and not weights.locate("tiny").own


def test_a_mirror_and_a_time_limit_are_the_users(hub: Server) -> None:
    hub.ways["/far/tiny/m.pt"] = "silent"
    got = run("fetch", "tiny", "--mirror", f"{hub.url}/far", "--timeout", 0.2)
    assert got.exit_code == 1 and "no answer within 0.2 s" in got.stderr and hub.paths() == ["/far/tiny/m.pt"]


@pytest.mark.parametrize(("words", "env"), [(["--offline"], {}), ([], {"HF_HUB_OFFLINE": "1"})])
def test_offline_tells_what_to_carry_over_and_asks_nobody(
    house: House, hub: Server, words: list[str], env: dict[str, str]
) -> None:
    got = run("fetch", "strict", "tiny", *words, **env)
    assert got.exit_code == 1 and hub.asked == []
    assert (
        f"{hub.url}{AT}" in got.stdout and sha256(BLOB) in got.stdout and str(house.home / "weights/tiny") in got.stdout
    )


def test_offline_tells_what_a_person_has_to_get(house: House) -> None:
    house.knows(tiny=entry(source={"by_hand": "ask their author"}))
    assert "ask their author" in run("fetch", "tiny", "--offline").stdout


# --- the doctor ---


def facts(warned: list[tuple[str, str]] | None = None) -> dict[str, Any]:
    return {
        "weights": shelf.examine(lambda what, remedy: warned.append((what, remedy)) if warned is not None else None)
    }


def test_the_doctor_tells_place_and_licence(house: House) -> None:
    house.knows(tiny=entry(), strict=entry(commercial=False, licence="for research only"))
    house.write("home/weights/tiny/m.pt")
    told = {name: text for name, text, _ in shelf.lines(facts())}
    assert told["tiny"] == "fetched; MIT"
    assert told["strict"] == "not here; for research only, not for commercial use"


def test_the_doctor_warns_of_what_is_broken_and_not_of_what_is_missing(house: House) -> None:
    house.knows(tiny=entry(), other=entry())
    house.write("home/weights/tiny/m.pt", b"short")
    warned: list[tuple[str, str]] = []
    facts(warned)
    assert warned == [(f"weights tiny: m.pt has 5 bytes, not {len(BLOB)}", "cinereward weights fetch tiny")]


def test_the_doctor_warns_of_a_manifest_that_cannot_be_read(house: House) -> None:
    house.write("manifest.yaml", b"weights: 3")
    warned: list[tuple[str, str]] = []
    assert facts(warned) == {"weights": {}} and "CINEREWARD_MANIFEST" in warned[0][1]


def test_the_page_of_the_doctor_has_the_weights(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, quick in {"self_test": True, "operators": {}, "gpu": {"devices": [], "note": "not asked"}}.items():
        monkeypatch.setattr(doctor, name, lambda *_, quick=quick: quick)
    got = CliRunner().invoke(cli.app, ["doctor"], env={"COLUMNS": "80"})
    page = got.stdout.partition("\nWeights\n")[2].partition("\nProfiles\n")[0]
    assert "tiny" in page and "not here; MIT" in page and max(map(len, got.stdout.splitlines())) <= 80


def test_sizes_are_told_in_units_that_fit() -> None:
    assert [shelf.in_bytes(count) for count in (5, 3 << 20, 5 << 29)] == ["5 B", "3.0 MiB", "2.5 GiB"]
