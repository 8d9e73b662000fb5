"""The manifest of weights: what it may hold, and what the shipped one does."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mirrors import entry
from pydantic import ValidationError

from cinereward.errors import ConfigError
from cinereward.manifest import File, Manifest, load_manifest
from cinereward.operators import OPERATORS, spec_of

NAMES = {
    *("dinov2-base", "dinov3-vitb16", "dino-vitb16", "clip-vit-b32", "clip-vit-l14", "siglip2-base"),
    *("raft-large", "raft-things", "yolo11m", "yolo11m-pose", "scrfd-10g", "arcface-r50", "landmarks-106"),
    *("syncnet", "whisper-small", "speech-emotion"),
}


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CINEREWARD_MANIFEST", raising=False)


def test_the_shipped_manifest_names_all_weights() -> None:
    assert set(load_manifest().weights) == NAMES


def test_every_operator_takes_weights_that_the_manifest_names() -> None:
    taken = {name for operator in OPERATORS for name in spec_of(operator).weights}
    assert taken <= NAMES


def source_of(library: str, file: str) -> str:
    """The text of a library's file; the library is not imported, which takes seconds."""
    found = find_spec(library)
    if found is None or found.origin is None:
        pytest.skip(f"{library} is not installed")
    return (Path(found.origin).parent / file).read_text(encoding="utf-8")


def test_whisper_is_the_file_that_openai_names() -> None:
    known = load_manifest().weights["whisper-small"]
    url = re.findall(r'"small": "(https://[^"]+)"', source_of("whisper", "__init__.py"))[0]
    assert (known.source.url, known.files[0].sha256) == (url, url.split("/")[-2])


def test_raft_is_the_file_that_torchvision_names() -> None:
    known = load_manifest().weights["raft-large"]
    text = source_of("torchvision", "models/optical_flow/raft.py")
    digits = re.findall(r"https://download\.pytorch\.org/models/raft_large_C_T_SKHT_V2-([0-9a-f]{8})\.pth", text)[0]
    assert str(known.source.url).endswith(f"raft_large_C_T_SKHT_V2-{digits}.pth")
    assert str(known.files[0].sha256).startswith(digits)


def test_all_that_is_fetched_comes_over_https() -> None:
    told = load_manifest()
    urls = [known.source.url for known in told.weights.values() if known.source.url]
    assert len(urls) >= 8 and all(url.startswith("https://") for url in [told.hub, *urls])


def test_insightface_is_not_for_commerce_and_shares_one_archive() -> None:
    known = [load_manifest().weights[name] for name in ("scrfd-10g", "arcface-r50", "landmarks-106")]
    assert not any(part.commercial for part in known) and len({part.source for part in known}) == 1


def test_a_manifest_of_ones_own_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"hub": "https://hub.example", "weights": {"tiny": entry()}}))
    monkeypatch.setenv("CINEREWARD_MANIFEST", str(tmp_path / "own.yaml"))
    assert list(load_manifest().weights) == ["tiny"]


def test_a_manifest_that_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CINEREWARD_MANIFEST", str(tmp_path / "own.yaml"))
    for name in ("one", "two"):
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"hub": "https://hub.example", "weights": {name: entry()}}))
        assert list(load_manifest().weights) == [name]


def test_a_manifest_that_is_not_there_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CINEREWARD_MANIFEST", "/nowhere.yaml")
    with pytest.raises(ConfigError, match=r"CINEREWARD_MANIFEST names /nowhere\.yaml"):
        load_manifest()


def test_an_unknown_key_is_an_error_that_lists_the_valid_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = yaml.safe_dump({"hub": "https://hub.example", "weights": {"tiny": entry(license="MIT")}})
    (tmp_path / "own.yaml").write_text(text)
    monkeypatch.setenv("CINEREWARD_MANIFEST", str(tmp_path / "own.yaml"))
    with pytest.raises(ConfigError, match=r"license: unknown key; valid keys here: .*licence"):
        load_manifest()


def manifest(told: dict[str, Any], name: str = "tiny") -> Manifest:
    return Manifest.model_validate({"hub": "https://hub.example", "weights": {name: told}})


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (entry(source={}), "one of repo, url, by_hand"),
        (entry(source={"repo": "a/b", "url": "https://a.example/b"}), "one of repo, url, by_hand"),
        (entry(source={"url": "https://a.example/b", "revision": "a" * 40}), "belongs to a repo"),
        (entry({"name": "a"}, {"name": "a"}), "same name"),
        (entry({"name": "a", "inside": "b"}), "is for archives"),
        (entry({"name": "a"}, {"name": "b"}, source={"url": "https://a.example/b"}), "are in an archive"),
        (entry({"name": "a", "sha256": "A" * 64}), "pattern"),
        (entry({"name": "a", "sha256": "a" * 63}), "pattern"),
        (entry({"name": "a", "size": -1}), "greater than or equal to 0"),
        (entry(source={"url": "ftp://a.example/b"}), "pattern"),
        (entry(source={"repo": "../../etc"}), "pattern"),
    ],
)
def test_what_contradicts_itself_is_refused(told: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        manifest(told)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "-a"])
def test_a_name_of_weights_is_no_path(name: str) -> None:
    with pytest.raises(ValidationError, match="is no name for weights"):
        manifest(entry(), name)


@given(st.text(st.sampled_from("ab./\\\n "), max_size=8))
def test_a_file_never_lies_outside_its_folder(name: str) -> None:
    try:
        File(name=name)
    except ValidationError:
        return
    assert (Path("/weights") / name).resolve().is_relative_to("/weights") and not name.startswith((".", "/"))
