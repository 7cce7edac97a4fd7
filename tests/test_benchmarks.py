"""`python -m benchmarks`: what it is asked, and nothing else. What it measures is for whoever reads it."""

import pytest
from benchmarks import __main__ as program


def test_options_belong_to_the_benchmark_that_is_named_first(monkeypatch):
    given: list[list[str]] = []
    monkeypatch.setitem(program.OTHERS, "tables", given.append)
    program.main(["tables", "--pairs", "1", "--rows", "2000"])
    assert given == [["--pairs", "1", "--rows", "2000"]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mnits"], "unknown benchmark mnits; known are mnist"),
        (["mnist", "tables"], "tables has options of its own"),
        (["mnist", "--rivals", "plain,torhc"], "unknown rival torhc; known are plain, tuned, torch"),
        (["mnist", "--rows", "3"], "unrecognized arguments: --rows 3"),
    ],
)
def test_what_is_not_known_is_refused_before_anything_runs(monkeypatch, capsys, arguments, says):
    monkeypatch.setattr(program, "compare", lambda *_: pytest.fail("something ran"))
    with pytest.raises(SystemExit, match="2"):
        program.main(arguments)
    assert says in capsys.readouterr().err
