"""The structure stays within its bounds; `python scripts/structure.py` prints every figure."""

import pytest
from scripts import structure


@pytest.mark.parametrize(
    "find",
    [
        structure.unexplained_modules,
        structure.doubled_classes,
        structure.no_commands,
        structure.long_modules,
        structure.long_functions,
        structure.circles,
        structure.wrong_imports,
    ],
    ids=lambda find: find.__name__,
)
def test_there_are_none(find) -> None:
    found = find()
    assert not found, "\n".join(found)


def test_few_module_names_stand_twice() -> None:
    assert len(structure.doubled_modules()) <= structure.MOST_DOUBLED_NAMES


def test_the_source_is_small() -> None:
    total = sum(map(structure.lines, structure.modules().values()))
    assert total <= structure.MOST_LINES


def test_the_spine_is_there_and_has_few_files() -> None:
    files = structure.spine()
    assert files
    assert [path for path in files if not path.is_file()] == []
    assert len(set(files)) == len(files) <= structure.MOST_SPINE_FILES


def test_the_spine_can_be_read_in_an_afternoon() -> None:
    assert structure.spine_lines() <= structure.MOST_SPINE_LINES


def test_docstrings_begin_with_a_verb() -> None:
    found = structure.without_verb()
    assert structure.verb_share() >= structure.LEAST_VERBS, "\n".join(found[:50])


@pytest.fixture
def small_source(monkeypatch, tmp_path):
    """Writes a source tree that the measures see instead of the real one."""

    def write(**files: str) -> None:
        paths = {}
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            paths[name.replace("__", ".")] = path
        monkeypatch.setattr(structure, "SOURCE", tmp_path)
        monkeypatch.setattr(structure, "modules", lambda: paths)

    return write


def test_circles_inside_functions_are_found_and_those_of_annotations_are_not(small_source) -> None:
    small_source(
        a="from dltool.b import f",
        b="def f():\n    from dltool import c",
        c="import dltool.a",
        d="from dltool import e",
        e="if TYPE_CHECKING:\n    from dltool import d",
    )
    assert structure.circles() == ["a, b, c"]


def test_names_that_stand_twice_are_found(small_source) -> None:
    small_source(one__rows="class Rows: ...\nclass _Own: ...", two__rows="class Rows: ...\nclass _Own: ...")
    assert structure.doubled_modules() == ["rows"]
    assert structure.doubled_classes() == ["Rows: one/rows.py, two/rows.py"]


def test_long_functions_and_docstrings_without_a_verb_are_found(small_source) -> None:
    long = "def long():\n" + "    pass\n" * structure.MOST_FUNCTION_LINES
    small_source(a=long + "def f():\n    'The rows.'\ndef g():\n    'Return the rows.'\n")
    assert structure.long_functions() == [f"a.py:1 long: {structure.MOST_FUNCTION_LINES + 1}"]
    assert structure.without_verb() == ["a.py:47 f: The rows."]
    assert structure.verb_share() == 0.5
