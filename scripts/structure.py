"""Measures the structure of the source, and says where it exceeds its bounds.

    python scripts/structure.py            print every figure; exit 1 if one exceeds its bound

`tests/test_bounds.py` tests each bound by itself.
"""

import ast
import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "dltool"
SPINE = ROOT / "docs" / "how-it-works" / "spine.md"

GROWTH: Mapping[str, int] = {
    "the program as it was first put in order": 31_000,
    "numbers that are right or refused, decisions, weights, own code, secrets, runs under attack": 4_000,
    "files as people have them": 4_600,
    "folds, seeds, search and learning curves": 5_800,
    "explanations, slices and drift, starting weights, cost, privacy": 7_200,
    "several devices and machines, data in shards": 3_600,
    "export with proof, eject, serve": 6_700,
}
"""What the source is for, and the most lines of each: a capability that is added gets a bound of its own."""
MOST_LINES = sum(GROWTH.values())
MOST_MODULE_LINES = 350
MOST_FUNCTION_LINES = 45
MOST_SPINE_FILES, MOST_SPINE_LINES = 10, 2_000
MOST_DOUBLED_NAMES = 6
LEAST_VERBS = 0.8
DOUBLED_NAMES: Mapping[str, str] = {
    "columns": "config.columns: types and options of columns in a config; model.columns: the Keras layers for them",
    "load": "config.load: a config from its file; data.media.load: decoded files as rows",
    "rows": "data.arrays.rows: rows of arrays; data.media.rows: rows that are decoded files",
    "examples": "data.examples: the rows that a source gives; report.examples: the rows that a report shows",
}
"""The module names that stand twice, each with the reason why its package makes the meaning plain."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> Mapping[str, Path]:
    """Return every module by its name below `dltool`; a package has the name of its folder."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def lines(path: Path) -> int:
    return path.read_text("utf-8").count("\n")


def functions() -> Iterator[tuple[str, Function]]:
    """Yield every function and method with the path of its module."""
    for path in modules().values():
        where = path.relative_to(SOURCE).as_posix()
        yield from ((where, node) for node in ast.walk(tree(path)) if isinstance(node, Function))


# --- names ---


def doubled_modules() -> list[str]:
    """Return the module names that stand in two packages, without `__init__`."""
    counts = Counter(path.stem for path in modules().values() if path.stem != "__init__")
    return sorted(name for name, count in counts.items() if count > 1)


def unexplained_modules() -> list[str]:
    """Return the doubled module names without a reason, and reasons without a doubled name."""
    return sorted({*doubled_modules()} ^ {*DOUBLED_NAMES})


def doubled_classes() -> list[str]:
    """Return the public class names that are defined in two places."""
    places: dict[str, list[str]] = {}
    for path in modules().values():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path.relative_to(SOURCE).as_posix())
    return [f"{name}: {', '.join(where)}" for name, where in sorted(places.items()) if len(where) > 1]


def command_names() -> set[str]:
    """Return the names of all commands and subcommands."""
    import typer

    from dltool import cli

    def below(group: object) -> Iterator[str]:
        for name, command in getattr(group, "commands", {}).items():
            yield name
            yield from below(command)

    return set(below(typer.main.get_command(cli.app)))


def no_commands() -> list[str]:
    """Return the modules of `commands/` that are no command or subcommand."""
    names = {path.stem for path in (SOURCE / "commands").rglob("*.py")} - {"__init__"}
    return sorted(names - command_names())


# --- lengths ---


def long_modules() -> list[str]:
    counted = ((path.relative_to(SOURCE).as_posix(), lines(path)) for path in modules().values())
    return [f"{where}: {count}" for where, count in counted if count > MOST_MODULE_LINES]


def function_lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def long_functions() -> list[str]:
    return [
        f"{where}:{node.lineno} {node.name}: {function_lines(node)}"
        for where, node in functions()
        if function_lines(node) > MOST_FUNCTION_LINES
    ]


def spine() -> list[Path]:
    """Return the files of the spine, in the order of the page that explains them."""
    names = re.findall(r"^#+ .*`src/dltool/([\w/]+\.py)`", SPINE.read_text("utf-8"), re.MULTILINE)
    return [SOURCE / name for name in names]


def spine_lines() -> int:
    return sum(lines(path) for path in spine())


# --- imports ---


def imported(path: Path, is_typing: bool = True) -> set[str]:
    """Return the modules of dltool that a file imports, at its top and inside functions.

    Without `is_typing`, imports for annotations alone (`if TYPE_CHECKING:`) are left out.
    """
    names: set[str] = set()
    skipped = {
        inner
        for node in ast.walk(tree(path))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not is_typing
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree(path)):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    inside = {name.removeprefix("dltool.") for name in names if name.startswith("dltool.")}
    return {name for name in inside if name in modules()}


def circles() -> list[str]:
    """Return the groups of modules that import each other, directly or not (strongly connected components)."""
    edges = {name: imported(path, is_typing=False) - {name} for name, path in modules().items()}
    reach: dict[str, set[str]] = {}
    for name in edges:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            for other in edges[waiting.pop()] - seen:
                seen.add(other)
                waiting.append(other)
        reach[name] = seen
    groups = {
        frozenset(other for other in reach[name] if name in reach[other]) for name in edges if name in reach[name]
    }
    return sorted(", ".join(sorted(group)) for group in groups)


def wrong_imports() -> list[str]:
    """Return the imports that break the rows and the TensorFlow line of `tests/test_structure.py`."""
    from tests import test_structure

    files = ((path.relative_to(SOURCE).as_posix(), path.read_text("utf-8")) for path in modules().values())
    return [wrong for where, text in files for wrong in test_structure.wrong_imports(where, text)]


# --- docstrings ---

VERBS = frozenset((ROOT / "scripts" / "verbs.txt").read_text("utf-8").split())
"""Verbs that a docstring may begin with."""


def docstrings() -> list[tuple[str, str]]:
    """Return the docstring of every function that has one, with its place."""
    found = [(f"{where}:{node.lineno} {node.name}", ast.get_docstring(node)) for where, node in functions()]
    return [(place, text) for place, text in found if text]


def without_verb() -> list[str]:
    """Return the docstrings that do not begin with a verb in the imperative."""
    first = re.compile(r"[A-Za-z]+")
    return [
        f"{place}: {text.splitlines()[0]}"
        for place, text in docstrings()
        if not (match := first.match(text)) or match[0] not in VERBS
    ]


def verb_share() -> float:
    return 1 - len(without_verb()) / max(1, len(docstrings()))


# --- all of it ---

LISTS: Mapping[str, Callable[[], Sequence[str]]] = {
    "module names that stand twice without a reason": unexplained_modules,
    "public class names that stand twice": doubled_classes,
    "modules of commands/ that are no command": no_commands,
    f"modules of more than {MOST_MODULE_LINES} lines": long_modules,
    f"functions of more than {MOST_FUNCTION_LINES} lines": long_functions,
    "circular imports": circles,
    "imports against the rows": wrong_imports,
}


def figures() -> Iterator[tuple[str, bool]]:
    """Yield a line for each bound, and whether it holds."""
    total = sum(map(lines, modules().values()))
    yield f"{total:,} lines in {len(modules())} modules (at most {MOST_LINES:,})", total <= MOST_LINES
    count = len(spine())
    text = f"the spine: {spine_lines():,} lines in {count} files (at most {MOST_SPINE_LINES:,} in {MOST_SPINE_FILES})"
    yield text, 0 < count <= MOST_SPINE_FILES and spine_lines() <= MOST_SPINE_LINES
    twice = doubled_modules()
    names = f"module names that stand twice: {', '.join(twice) or 'none'} (at most {MOST_DOUBLED_NAMES})"
    yield names, len(twice) <= MOST_DOUBLED_NAMES
    yield (
        f"{verb_share():.0%} of docstrings begin with a verb (at least {LEAST_VERBS:.0%})",
        verb_share() >= LEAST_VERBS,
    )
    for title, find in LISTS.items():
        found = find()
        yield f"{title}: " + ("none" if not found else f"{len(found)}\n  " + "\n  ".join(found)), not found


def main() -> int:
    if importlib.util.find_spec("typer") is None:
        sys.stderr.write("the packages of dltool are missing: make setup, then .venv/bin/python scripts/structure.py\n")
        return 2
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    is_good = True
    for text, holds in figures():
        sys.stdout.write(f"{'ok      ' if holds else 'exceeded'}  {text}\n")
        is_good = is_good and holds
    return int(not is_good)


if __name__ == "__main__":
    sys.exit(main())
