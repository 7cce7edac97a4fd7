import pytest

from dltool.config.schema import Data, SplitOptions
from dltool.config.tasks import TargetFacts
from dltool.data.split.sizes import PartSizes, check_parts, check_stratify, named_sizes, part_sizes
from dltool.errors import ConfigError


def sizes(examples: int, validation_given: int = 0, test_given: int = 0, **split: float) -> tuple[int, int, int]:
    found = part_sizes(SplitOptions(**split), examples, validation_given, test_given)  # type: ignore[arg-type]
    return found.training, found.validation, found.test


def test_fractions_are_of_the_training_examples_and_rounded():
    assert sizes(1797, validation=0.1, test=0.2) == (1797 - 180 - 359, 180, 359)


def test_a_part_of_the_source_takes_nothing_from_training():
    assert sizes(100, 7, 9) == (100, 7, 9)


def test_a_fraction_takes_the_place_of_a_part_of_the_source():
    assert sizes(100, 7, 9, validation=0.2, test=0.1) == (70, 20, 10)
    assert sizes(100, 0, 9, test=0.0) == (100, 0, 0)


def test_a_fraction_that_is_no_example_is_refused():
    with pytest.raises(ConfigError) as error:
        sizes(150, validation=0.001, test=0.002)
    assert [(problem.place, problem.message) for problem in error.value.problems] == [
        (("data", "split", "validation"), "0.001 of 150 examples is no example at all"),
        (("data", "split", "test"), "0.002 of 150 examples is no example at all"),
    ]


def test_a_split_that_leaves_no_training_examples_is_refused():
    with pytest.raises(ConfigError, match="of 2 examples, none is left for training"):
        sizes(2, validation=0.5, test=0.49)


def test_a_part_is_given_once():
    data = Data.model_validate(
        {"source": "iris", "validation": "wine", "test": "wine", "split": {"validation": 0.1, "test": 0.1}}
    )
    with pytest.raises(ConfigError) as error:
        check_parts(data)
    assert [(problem.place, problem.related) for problem in error.value.problems] == [
        (("data", "split", part), ((("data", part), "given here"),)) for part in ("validation", "test")
    ]


def test_only_classes_are_stratified():
    check_stratify(SplitOptions(stratify=True), {"target": TargetFacts("category")})
    check_stratify(SplitOptions(), {"target": TargetFacts("number")})
    with pytest.raises(ConfigError, match="only classes can be stratified"):
        check_stratify(SplitOptions(stratify=True), {"target": TargetFacts("number")})
    with pytest.raises(ConfigError, match=r"only classes can be stratified; each example has \(8, 8\) of them"):
        check_stratify(SplitOptions(stratify=True), {"target": TargetFacts("category", (8, 8))})


def test_a_column_takes_the_place_of_the_parts_that_it_names():
    data = Data.model_validate({"source": "iris", "split": {"column": "part"}})
    assert named_sizes(data, (80, 20, 0), 7, 9) == PartSizes(80, 20, 9, taken_validation=True, taken_test=False)


def test_a_column_and_a_source_do_not_both_give_a_part():
    data = Data.model_validate({"source": "iris", "test": "wine", "split": {"column": "part"}})
    assert named_sizes(data, (80, 20, 0), 0, 9).test == 9
    with pytest.raises(ConfigError) as error:
        named_sizes(data, (80, 20, 5), 0, 9)
    (problem,) = error.value.problems
    assert problem.message == "data.test already gives the test examples, and the column names 5 more"
    assert (problem.place, problem.related) == (("data", "split", "column"), ((("data", "test"), "given here"),))
