"""How this house is kept, held over the syntax tree: nothing here runs what it looks at."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = PROJECT["tool"]["setuptools"]["package-dir"]  # import name -> folder

# Imports run one way: a part may import parts of its own tier and of those above it on this list.
TIERS = (
    (
        *("types", "pairs", "errors", "taxonomy", "profile", "batch", "manifest", "weights"),
        *("text", "lexicon", "phrases", "wants"),
    ),
    ("networks",),
    ("media",),
    ("operators",),
    ("gate", "judge", "intents"),
    ("fusion", "weighting", "opinion"),
    ("critique",),
    ("lanes", "engine", "jury", "account", "ledger", "right", "assessing", "model"),
    ("calibration", "output", "report", "words"),
    ("testing", "serve", "adapters"),
    ("agents",),
    # what the command is made of
    ("asked", "doctor", "explain", "fetching", "interrogation", "parts", "replay", "rows", "shelf", "show", "training"),
    ("cli",),
)
RANK = {part: rank for rank, parts in enumerate(TIERS) for part in parts}
# Against the run, inside a function, with a reason: `Clip.from_diffusers` is where users look for it.
ALLOWED = {("cinereward.types", "cinereward.media.intake")}

MODULES: dict[str, Path] = {}  # import name -> file
for package, folder in sorted(FOLDERS.items(), key=lambda item: len(item[0])):
    for file in sorted((ROOT / folder).rglob("*.py")):
        parts = file.relative_to(ROOT / folder).with_suffix("").parts
        MODULES[".".join((package, *parts)).removesuffix(".__init__")] = file
CODE = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in MODULES.items()}
NAMES = sorted(MODULES)


def part(module: str) -> str:
    """The part of the house a module belongs to: "media" of "cinereward.media.reader"."""
    return [*module.split("."), ""][1]


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that runs when this code does, in functions too; not what is only for the type checker."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for other in node.orelse:
                yield from imports(other)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            inner = [f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES]
            yield from inner or [base]
        else:
            yield from imports(node)


def house(name: str) -> list[str]:
    return [found for found in imports(CODE[name]) if found.split(".")[0] == "cinereward"]


def test_the_whole_house_is_looked_at() -> None:
    assert {"cinereward", "cinereward.types", "cinereward.media.reader", "cinereward.model"} <= set(NAMES)
    assert {"cinereward.adapters", "cinereward.agents", "cinereward.configs"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_module_has_its_place_in_the_run(name: str) -> None:
    assert part(name) in {"", "configs", *RANK}, f"{name}: add it to TIERS, and to docs/design.md"


@pytest.mark.parametrize("name", [name for name in NAMES if part(name) in RANK])
def test_imports_run_one_way(name: str) -> None:
    later = [
        found
        for found in house(name)
        if part(found) in RANK and RANK[part(found)] > RANK[part(name)] and (name, found) not in ALLOWED
    ]
    assert later == []


def test_every_exception_is_still_needed() -> None:
    assert all(found in house(name) for name, found in ALLOWED)


def test_imports_form_no_circle() -> None:
    follow = {
        name: {found for found in house(name) if found in MODULES and found != name and (name, found) not in ALLOWED}
        for name in NAMES
        if name != "cinereward"
    }
    while free := [name for name, needs in follow.items() if not needs & follow.keys()]:
        for name in free:
            del follow[name]
    assert follow == {}


def test_operators_and_the_judge_never_import_each_other() -> None:
    assert not [name for name in NAMES if part(name) == "operators" for found in house(name) if part(found) == "judge"]
    assert not [name for name in NAMES if part(name) == "judge" for found in house(name) if part(found) == "operators"]


def test_one_operator_never_imports_another() -> None:
    from cinereward.operators import OPERATORS

    files = {target.partition(":")[0] for target in OPERATORS.values()}
    assert files <= set(NAMES)
    assert not [(name, found) for name in files for found in house(name) if found in files]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_imports_the_examples(name: str) -> None:
    assert not [found for found in imports(CODE[name]) if found.split(".")[0] in {"rl_examples", "tests", "benchmarks"}]


@pytest.mark.parametrize("name", NAMES)
def test_imports_are_absolute(name: str) -> None:
    assert not [node for node in ast.walk(CODE[name]) if isinstance(node, ast.ImportFrom) and node.level]


# --- sizes and names ---


@pytest.mark.parametrize("name", NAMES)
def test_a_file_has_at_most_400_lines(name: str) -> None:
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("name", NAMES)
def test_a_function_has_at_most_60_lines(name: str) -> None:
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(CODE[name])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 60
    }
    assert long == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_what_is_inside(name: str) -> None:
    empty = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "base", "core", "lib"}
    assert not empty & set(name.split("."))


@pytest.mark.parametrize("name", NAMES)
def test_a_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(CODE[name])


# --- safety ---

UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_pickled(name: str) -> None:
    assert not {found.split(".")[0] for found in imports(CODE[name])} & UNSAFE


def called(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_comes_from_outside_is_run(name: str) -> None:
    for function, call in called(CODE[name]):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert function not in {"eval", "exec", "compile", "os.system"}, f"{name}:{call.lineno}"
        assert "shell" not in given, f"{name}:{call.lineno}"
        if function.endswith("torch.load"):
            assert given.get("weights_only") == "True", f"{name}:{call.lineno}"
        if function in {"np.load", "numpy.load"}:
            assert given.get("allow_pickle", "False") == "False", f"{name}:{call.lineno}"
        if function == "yaml.load":
            loader = given.get("Loader", "")
            assert loader == "loader" or "SafeLoader" in loader, f"{name}:{call.lineno}"
        assert function not in {"yaml.unsafe_load", "yaml.full_load"}, f"{name}:{call.lineno}"


# --- the project's own files ---


def test_every_package_folder_is_listed() -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    assert {name for name, file in MODULES.items() if file.name == "__init__.py"} == listed


def test_no_folder_of_code_lacks_its_init() -> None:
    folders = {file.parent for file in MODULES.values()}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def test_pre_commit_has_the_versions_of_pyproject() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    pinned = {
        hook["id"].removesuffix("-check").removesuffix("-format"): repo["rev"]
        for repo in hooks
        for hook in repo["hooks"]
    }
    dev = dict(line.split("==") for line in PROJECT["project"]["optional-dependencies"]["dev"] if "==" in line)
    assert {name: rev.removeprefix("v") for name, rev in pinned.items()} == {
        name: dev[name] for name in ("ruff", "mypy")
    }


def test_the_package_has_the_version_of_pyproject() -> None:
    versions = [
        ast.literal_eval(node.value)
        for node in CODE["cinereward"].body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    assert versions == [PROJECT["project"]["version"]]


def test_types_are_shipped() -> None:
    assert (ROOT / FOLDERS["cinereward"] / "py.typed").is_file()
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["cinereward"]


@pytest.mark.parametrize("file", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda file: file.name)
def test_every_config_is_yaml_of_the_safe_kind(file: Path) -> None:
    assert yaml.safe_load(file.read_text(encoding="utf-8"))
