"""The project's own order: packaging, borders between packages, and what its texts promise."""

import ast
import re
import shlex
import subprocess
import sys
import tarfile
import textwrap
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "artifact" / "bistable"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION = PROJECT["project"]["version"]
RULES = [ROOT / "docs" / "reference" / name for name in ("rules.md", "attestations.md")]


def tracked(suffix: str = "") -> list[Path]:
    """Return the files that git knows and that are there."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what is tracked is not known")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in names.decode().split("\0") if name.endswith(suffix) and name]
    return [path for path in paths if path.is_file()]


def portions() -> list[Path]:
    """Return the folders that hold a part of the namespace."""
    return sorted(path.parent for path in ROOT.glob("*/bistable") if path.parent.name not in {"build", "dist"})


# --- the namespace


def test_no_folder_turns_the_namespace_into_a_package() -> None:
    assert [path for path in portions() if (path / "bistable" / "__init__.py").exists()] == []


def test_an_editable_install_shows_every_folder_of_the_namespace() -> None:
    listed = PROJECT["tool"]["hatch"]["build"]["dev-mode-dirs"]
    assert sorted(listed) == [path.name for path in portions()]


def test_the_library_imports_none_of_what_a_device_lacks_or_waits_for() -> None:
    heavy = {"click", "rich", "jinja2", "construct", "cryptography", "zstandard", "isal", "zlib_ng", "pkcs11"}
    code = f"import sys, bistable.artifact; print(*sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


# --- what is shipped


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        prefix = f"bistable-{VERSION}/"
        return {name.removeprefix(prefix) for name in archive.getnames()}


def build(target: str, directory: Path) -> Path:
    pytest.importorskip("hatchling", reason="not installed: the dependency group 'build'")
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(directory.iterdir())


def code_names(folder: str) -> set[str]:
    """Return the modules of one part of the namespace, as they are called in it."""
    sources = ROOT / folder / "bistable"
    files = {
        path for form in ("*.py", "py.typed", "*.xml", "*.jinja", "*.toml", "*.css") for path in sources.rglob(form)
    }
    return {path.relative_to(sources.parent).as_posix() for path in files}


def test_the_wheel_holds_the_code_and_its_metadata_and_nothing_else(wheel_names: set[str]) -> None:
    metadata = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    code = code_names("artifact") | code_names("client") | code_names("tools")
    shared = {
        path.relative_to(folder.parent).as_posix()
        for folder in (ROOT / "client" / "dist", ROOT / "board-integrations")
        for path in tracked()
        if folder in path.parents
    }
    assert wheel_names == (
        code
        | {f"bistable-{VERSION}.dist-info/{name}" for name in metadata}
        | {f"bistable-{VERSION}.data/data/share/bistable/{name}" for name in shared}
    )


def test_the_source_distribution_holds_code_tests_and_texts_and_nothing_else(sdist_names: set[str]) -> None:
    top = {name.split("/")[0] for name in sdist_names}
    assert top == {
        "artifact",
        "board-integrations",
        "client",
        "tools",
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
    }
    for folder, expected in (
        ("artifact", {"FORMAT.md", "bistable", "tests"}),
        ("client", {"bistable", "dist", "examples", "tests"}),
        ("tools", {"bistable", "tests"}),
    ):
        assert {name.split("/")[1] for name in sdist_names if name.startswith(f"{folder}/")} == expected
        code = {name for name in sdist_names if name.startswith(f"{folder}/bistable/")}
        assert code == {f"{folder}/{name}" for name in code_names(folder)}


def test_no_cache_of_a_tool_is_shipped(sdist_names: set[str]) -> None:
    assert [name for name in sdist_names if re.search(r"__pycache__|\.hypothesis|\.pyc$|_cache/", name)] == []


# --- texts


def links(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (file, heading) of the relative links in a text."""
    prose = re.sub(r"^( {4}|```).*$", "", path.read_text(), flags=re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match(r"[a-z]+:", target):
            file, _, heading = target.partition("#")
            yield file, heading


def headings(path: Path) -> set[str]:
    """Return the anchors that a text offers, as the usual renderers make them."""
    titles = re.findall(r"^#+ +(.*)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for path in tracked(".md"):
        for file, heading in links(path):
            target = (path.parent / file).resolve() if file else path
            if not target.exists() or (heading and heading not in headings(target)):
                broken.append(f"{path.relative_to(ROOT)}: {file}#{heading}")
    assert broken == []


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / file).resolve() for file, _ in links(index)}
    pages = {path for path in tracked(".md") if index.parent in path.parents and path != index}
    assert {path.relative_to(ROOT).as_posix() for path in pages - linked} == set()


def test_no_file_names_a_place_on_somebodys_machine_or_a_package_registry() -> None:
    unwanted = re.compile(
        r"""(?<![\w.}])/(?: home/\w+ | Users/\w+ | root/\.(?!ssh) | work/ | builds?/\w+/\w )
          | (?: py[p]i | pythonhoste[d] | artifactor[y] | nexu[s] )[\w.-]*\.(?: org | com | io | net )""",
        re.VERBOSE,
    )
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        lines = enumerate(text.splitlines(), start=1)
        found += [f"{path.relative_to(ROOT)}:{number}" for number, line in lines if unwanted.search(line)]
    assert found == []


def test_the_library_example_in_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = ROOT / "artifact" / "tests" / "vectors" / "keys"
    for name, kind in (("release.key", "ec256.key"), ("release.pub", "ec256.pub")):
        (tmp_path / name).write_bytes((keys / kind).read_bytes())
    (tmp_path / "rootfs.ext4").write_bytes(b"a root filesystem")
    example = re.search(r"^    from pathlib.*?(?=^\S)", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert example
    exec(textwrap.dedent(example[0]), {})
    assert capsys.readouterr().out.startswith("v1 (PayloadFile(name='rootfs.ext4', size=17")


def test_the_commands_in_the_readme_run(tmp_path: Path) -> None:
    (tmp_path / "rootfs.ext4").write_bytes(b"a root filesystem")
    lines = re.findall(r"^    (bistable artifact .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    program = [sys.executable, "-c", "from bistable.artifact.cli import main; main()"]
    codes = {}
    for line in lines:
        words = shlex.split(line, comments=True)
        done = subprocess.run([*program, *words[1:]], cwd=tmp_path, capture_output=True, check=False)
        codes[words[2]] = done.returncode
    assert codes == {"keys": 0, "write": 0, "verify": 0, "show": 0, "modify": 0, "diff": 1}


def test_the_reference_of_commands_is_up_to_date() -> None:
    script = ROOT / "tools" / "make_reference.py"
    if not script.exists():
        pytest.skip("a source distribution has no tools")
    made = subprocess.run(
        [sys.executable, "-c", f"import runpy; print(runpy.run_path({str(script)!r})['markdown'](), end='')"],
        capture_output=True,
        check=True,
    )
    assert made.stdout.decode() == (ROOT / "docs" / "reference" / "cli.md").read_text(), f"run {script.name}"


# --- rules


def literals() -> set[str]:
    """Return all string constants of the library."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        found |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return found


def given_rules() -> set[str]:
    """Return the rule identifiers in the code: constants of their form whose first part begins a listed rule."""
    groups = {rule.partition(".")[0] for rule in listed_rules()}
    form = re.compile(r"([a-z]+(?:-[a-z]+)*)\.[a-z]+(?:-[a-z0-9]+)*")
    matches = [form.fullmatch(text) for text in literals()]
    not_rules = {"compression.zstd", "header.tar", "manifest.sig"}
    return {match[0] for match in matches if match and match[1] in groups} - not_rules


def keyword_rules() -> set[str]:
    """Return the constants that are given as `rule=`, whatever their form."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.keyword) or node.arg != "rule":
                continue
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                found.add(node.value.value)
    return found


def listed_rules() -> set[str]:
    """Return the identifiers in the tables of the reference."""
    text = "\n".join(path.read_text() for path in RULES)
    return set(re.findall(r"^\| `([a-z-]+\.[a-z0-9-]+)` \|", text, flags=re.MULTILINE))


def test_every_rule_in_the_code_is_explained_in_the_reference() -> None:
    assert (given_rules() | keyword_rules()) - listed_rules() == set()


def test_every_rule_in_the_reference_is_in_the_code() -> None:
    # Decompressors give the second part only; the first is put in front in one place.
    short = {f"compression.{text}" for text in literals() if re.fullmatch(r"[a-z]+", text)}
    assert listed_rules() - given_rules() - short == set()
