from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from dltool.config.keras.objects import UNKNOWN
from dltool.config.schema import Data, SplitOptions
from dltool.config.sources import SOURCES, parse_source
from dltool.errors import Problem


def problem_of(value: Any) -> Problem:
    (problem,) = problems_of(value)
    return problem


def problems_of(value: Any) -> list[Problem]:
    with pytest.raises(PydanticCustomError) as refused:
        parse_source(value)
    return (refused.value.context or {})["problems"]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in SOURCES
        if not any(field.is_required() for field in SOURCES[name].model_fields.values()) and name != "arrays"
    ],
)
def test_a_source_is_named_alone_or_with_no_options(name):
    assert parse_source(name) == parse_source({name: {}})
    assert parse_source(name).name == name


def test_a_single_value_is_the_first_option():
    assert parse_source({"mnist": "my.npz"}) == parse_source({"mnist": {"path": "my.npz"}})


def test_a_source_that_is_one_already_passes():
    source = parse_source({"imdb": {"num_words": 500}})
    assert parse_source(source) is source


def test_what_waits_for_the_data_is_not_checked():
    assert parse_source({"imdb": {"length": UNKNOWN}}).options.__dict__["length"] is UNKNOWN
    assert parse_source({"arrays": {"path": UNKNOWN}}).options.__dict__["path"] is UNKNOWN


@pytest.mark.parametrize(
    ("value", "place", "message", "hint"),
    [
        ("mnsit", (), 'unknown data source "mnsit"', 'did you mean "mnist"?'),
        ({"mnsit": {}}, ("mnsit",), 'unknown data source "mnsit"', 'did you mean "mnist"?'),
        ({"mnist": {"paht": "a"}}, ("mnist", "paht"), "unknown option of mnist", 'did you mean "path"?'),
        ({"cifar10": {"size": 3}}, ("cifar10", "size"), "unknown option of cifar10", "it takes path"),
        ({"iris": {"path": "a"}}, ("iris", "path"), "unknown option of iris", "write iris alone"),
        ({"iris": 3}, ("iris",), "iris takes no options", "write iris alone"),
        ({"mnist": 3}, ("mnist",), "expected a string, got the number 3", ""),
        ({"mnist": {"path": 3}}, ("mnist", "path"), "expected a string, got the number 3", ""),
        ({"imdb": {"num_words": 2}}, ("imdb", "num_words"), "must be above 3, got 2", ""),
        ({"imdb": {"length": True}}, ("imdb", "length"), "expected an integer, got true", ""),
        (
            {"cifar100": {"label_mode": "rough"}},
            ("cifar100", "label_mode"),
            'expected fine or coarse, got the string "rough"',
            "",
        ),
        (
            {"arrays": {"x": "x.npy"}},
            ("arrays",),
            "arrays needs path (one .npz), or x and y (two .npy files)",
            "for example arrays: {path: data.npz}",
        ),
        (
            {"mnist": {}, "iris": {}},
            (),
            "expected one source, got 2",
            "for example source: digits, or source: {mnist: {path: mnist.npz}}",
        ),
        (
            None,
            (),
            "expected the name of a data source, got null",
            "for example source: digits, or source: {mnist: {path: mnist.npz}}",
        ),
    ],
)
def test_a_mistake_is_named_at_its_place(value, place, message, hint):
    problem = problem_of(value)
    assert (problem.place, problem.message, problem.hint) == (place, message, hint)


def test_an_unknown_source_is_pointed_at_where_it_stands():
    assert not problem_of("mnsit").at_key
    assert problem_of({"mnsit": {}}).at_key


def test_every_mistake_in_the_options_is_reported():
    problems = problems_of({"imdb": {"num_words": "many", "lenght": 3}})
    assert [problem.place for problem in problems] == [("imdb", "num_words"), ("imdb", "lenght")]


def test_exclusive_options_name_both_places():
    problem = problem_of({"arrays": {"path": "a.npz", "x": "x.npy", "y": "y.npy"}})
    assert problem.place == ("arrays", "x")
    assert problem.related == ((("arrays", "path"), "path is given here"),)


def test_an_unknown_name_with_no_neighbour_lists_the_sources():
    assert problem_of("zzz").hint.startswith("known sources: digits, iris")


@pytest.mark.parametrize("key", ["source", "validation", "test"])
def test_a_mistake_in_a_source_is_one_error(key):
    with pytest.raises(ValidationError) as error:
        Data.model_validate({"source": "iris", key: "irsi"})
    (details,) = error.value.errors()
    assert details["type"] == "problems"


def test_fractions_leave_something_for_training():
    assert SplitOptions(validation=0.5, test=0.4).test == 0.4
    with pytest.raises(ValidationError) as error:
        SplitOptions(validation=0.5, test=0.5)
    (details,) = error.value.errors()
    (problem,) = details["ctx"]["problems"]
    assert problem.message == "validation and test add up to 1: no example is left for training"
    assert problem.place == ("test",)


@pytest.mark.parametrize(
    ("split", "places"),
    [
        ({"group": "a", "order": "b"}, [("group", "order")]),
        ({"group": "a", "order": "b", "column": "c"}, [("order", "column"), ("group", "column")]),
        ({"column": "c", "validation": 0.1, "test": 0.0}, [("validation", "column")]),
        ({"column": "c", "test": 0.1, "stratify": True}, [("test", "column"), ("stratify", "column")]),
        ({"order": "time", "test": 0.1, "stratify": True}, [("stratify", "order")]),
    ],
)
def test_rules_of_a_split_exclude_each_other(split, places):
    with pytest.raises(ValidationError) as error:
        SplitOptions.model_validate(split)
    (details,) = error.value.errors()
    problems = details["ctx"]["problems"]
    assert [(problem.place[0], problem.related[0][0][0]) for problem in problems] == places
    assert problems[0].message == f"{places[0][0]} and {places[0][1]} are mutually exclusive"


@pytest.mark.parametrize(
    "split",
    [
        {"group": "who", "test": 0.1, "stratify": True, "seed": 7},
        {"order": "time", "validation": 0.1, "stratify": False},
        {"column": "part", "validation": 0.0, "stratify": False, "seed": 7},
        {"column": UNKNOWN, "validation": 0.0},
    ],
)
def test_a_split_may_have_a_rule(split):
    SplitOptions.model_validate(split)
