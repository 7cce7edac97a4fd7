"""The structure of the program: who may import whom, and what a light start must not import."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dltool

SOURCE = Path(dltool.__file__).parent
PROJECT = Path(__file__).parents[1]

# A module imports from its own row and the rows above it.
ROWS = [
    {"environment", "errors", "text", "__init__"},
    {"accountant", "durable_files", "imports", "installation", "machine"},
    {"keras_names"},
    {"config", "meeting"},
    {"data"},
    {"runs"},
    {"drafting", "tracking"},
    # The TensorFlow line: nothing above imports tensorflow or keras.
    {"model"},
    {"cost"},
    {"training"},
    {"evaluation"},
    {"report"},
    {"explain"},
    {"experiment"},
    {"exporting"},
    {"curve", "ejecting", "folds", "search", "serving"},
    {"commands"},
    {"cli", "console", "notebook"},
    {"__main__"},
]
FIRST_ROW_WITH_TENSORFLOW = ROWS.index({"model"})
# The package's own functions, of its last row.
EXEMPT = {"__init__.py"}
# Imports TensorFlow for those below the line, when they ask for it.
IMPORTER = "imports.py"


def row_of(part: str) -> int:
    return next(number for number, row in enumerate(ROWS) if part in row)


def imported_modules(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, module) of every import, those inside functions too; `from dltool import x` counts as dltool.x."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"dltool.{alias.name}" for alias in node.names]
            found += (
                [(node.lineno, name) for name in names]
                if node.module == "dltool"
                else [(node.lineno, node.module or "")]
            )
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found += [
                (node.lineno, a.value) for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
            ]
    return found


def wrong_imports(where: str, text: str) -> list[str]:
    """What one file, by its path below src/dltool, imports against the rules."""
    if where in EXEMPT:
        return []
    part = Path(where).parts[0].removesuffix(".py")
    own_row = row_of(part)
    wrong = []
    for line, module in imported_modules(ast.parse(text)):
        top, _, rest = module.partition(".")
        inner = rest.split(".")[0]
        if top == "dltool" and inner and not inner.startswith("__version") and row_of(inner) > own_row:
            wrong.append(f"{where}:{line} imports {module}, which is below it")
        if top in {"tensorflow", "keras"} and own_row < FIRST_ROW_WITH_TENSORFLOW and where != IMPORTER:
            wrong.append(f"{where}:{line} imports {module} above the TensorFlow line")
    return wrong


def test_modules_import_only_from_their_own_row_and_above():
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 20
    wrong = [w for f in files for w in wrong_imports(f.relative_to(SOURCE).as_posix(), f.read_text(encoding="utf-8"))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("data/x.py", "from dltool.model.build import build"),
        ("config/x.py", "def f():\n    import dltool.data.dataset"),
        ("runs/x.py", "from dltool.tracking import Tracking"),
        ("errors.py", "from dltool.config import schema"),
        ("data/x.py", "def f():\n    from keras.utils import to_categorical"),
        ("machine.py", "import tensorflow as tf"),
        ("keras_names/x.py", "from importlib import import_module\nimport_module('keras')"),
        ("commands/x.py", "from dltool.console.phrases import number"),
    ],
)
def test_a_wrong_import_is_found(where, text):
    assert len(wrong_imports(where, text)) == 1


LIGHT = ["dltool", "dltool.cli", "dltool.config.load", "dltool.runs.directory", "dltool.machine"]
HEAVY = {"tensorflow", "keras", "numpy", "pandas", "sklearn", "scipy", "matplotlib"}


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_start_imports_nothing_heavy(module):
    code = f"import sys, {module}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "dltool" in loaded
    assert not loaded & HEAVY


def test_a_run_that_is_in_use_is_refused_before_anything_that_takes_time_is_imported():
    modules = (
        "dltool.cli, dltool.commands.resume, dltool.console.capture, dltool.console.progress, dltool.console.results"
    )
    code = f"import sys, {modules}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "dltool.runs.files" in loaded
    assert not loaded & {*HEAVY, "yaml", "dltool.config.schema", "dltool.config.load", "dltool.keras_names"}
    assert not loaded & RECORDS


RECORDS = {"pydantic", "dltool.runs.records", "dltool.runs.checkpoint_state"}
"""Models of run records, and what they are made with."""


def test_the_models_of_run_records_are_not_built_at_the_start():
    code = "import sys, dltool.cli, dltool.runs.directory\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert not set(done.stdout.split()) & RECORDS


def test_the_version_is_the_one_of_the_project():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert dltool.__version__ == project["version"]


LOCKS = {"requirements.lock": (), "requirements-serve.lock": ("serve",), "requirements-dev.lock": ("dev", "docs")}
"""The lock files, with the extras in each."""
PIN = re.compile(r"([a-z0-9-]+)==\S+( ; [\w.' <>=!]+)? \\")


@pytest.mark.parametrize(("lock", "extras"), LOCKS.items())
def test_a_lock_pins_what_its_readers_need_by_hash_and_names_no_index(lock, extras):
    text = (PROJECT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    entries = [entry for entry in re.split(r"\n(?! )", text.strip()) if not entry.startswith("#")]
    pins = set()
    for entry in entries:
        first, *hashes = entry.split("\n")
        pin = PIN.fullmatch(first)
        assert pin, first
        assert hashes, first
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), first
        pins.add(pin[1])
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    optional = project["project"]["optional-dependencies"]
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["build"]
    wanted += [requirement for extra in extras for requirement in optional[extra]]
    names = {re.split("[<>=]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    assert names <= pins
    assert "dev" in extras or not pins & {"mkdocs", "mypy", "pytest", "ruff"}


def test_all_locks_pin_the_same_versions_of_what_they_hold():
    users, image, developers = (
        dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (PROJECT / lock).read_text(encoding="utf-8"), re.MULTILINE))
        for lock in LOCKS
    )
    assert {name: image.get(name) for name in users} == users
    assert {name: developers.get(name) for name in image} == image
