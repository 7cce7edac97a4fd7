"""Validate a resolved tree: return the typed :class:`Config`, or every error in it as a problem."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from dltool.config.pydantic_errors import annotation_of, is_repeated, value_problems
from dltool.config.schema import Config
from dltool.config.section import Section, keys_of
from dltool.config.text.tree import Node, find, format_path, to_plain
from dltool.config.wording import MISSING
from dltool.errors import ConfigPath, Problem
from dltool.text import did_you_mean, near, quoted


def validate(root: Node) -> tuple[Config | None, list[Problem]]:
    problems = list(loss_problems(root))
    try:
        config = Config.model_validate(to_plain(root))
        return (None if problems else config), problems
    except ValidationError as error:
        for details in error.errors(include_url=False):
            for problem in problems_of(details, root):
                # The members of a union each have their complaint about the same value: the first one is enough.
                if not (isinstance(problem.place, tuple) and is_repeated(details, problem.place, problems)):
                    problems.append(problem)
        return None, without_consequences(list(dict.fromkeys(problems)))


def loss_problems(root: Node) -> Iterator[Problem]:
    """Yield a problem unless either the training section or each output of the model has a loss."""
    training, outputs = find(root, ("training",)), find(root, ("model", "outputs"))
    if training is None or not isinstance(training.value, Mapping):
        return
    if outputs is None or not outputs.value:
        if "loss" not in training.value:
            yield Problem(("training",), MISSING.format("loss"), EXAMPLES["loss"])
        elif training.value["loss"].node.value is None:
            yield Problem(("training", "loss"), "expected a loss, got null", EXAMPLES["loss"])
        return
    for key in ("loss", "metrics", "threshold"):
        if key in training.value and training.value[key].node.value not in ((), None):
            message, hint = f"each of model.outputs has its own {key}", "remove it here"
            related = ((("model", "outputs"), "the outputs"),)
            yield Problem(("training", key), message, hint, at_key=True, related=related)


def without_consequences(problems: list[Problem]) -> list[Problem]:
    """Drop missing keys that a misspelt key beside them explains."""
    meant = {
        (problem.place[:-1], MISSING.format(problem.hint.split('"')[1]))
        for problem in problems
        if isinstance(problem.place, tuple) and problem.hint.startswith('did you mean "')
    }
    return [problem for problem in problems if (problem.place, problem.message) not in meant]


def problems_of(details: Mapping[str, Any], root: Node) -> Iterator[Problem]:
    """Translate one of pydantic's errors."""
    path = written_path(details["loc"], root)
    kind, value = details["type"], details["input"]
    if kind == "missing":
        yield Problem(path[:-1], MISSING.format(path[-1]), EXAMPLES.get(str(path[-1]), ""))
    elif kind == "extra_forbidden":
        yield unknown_key(path)
    elif kind == "string_pattern_mismatch":
        message, hint = PATTERNS["expect" if path[0] == "expect" else str(path[-1])]
        yield Problem(path, f"{quoted(value)} {message}", hint)
    else:
        node = find(root, path)
        written = node.written if node else ""
        for problem in value_problems(details, path, annotation_at(path), written):
            hint = problem.hint
            if path[:1] == ("expect",) and isinstance(value, int | float):
                hint = f'write ">= {written}"'
            elif path[-2:] in WITH_UNITS and kind == "string_type":
                hint = PATTERNS[str(path[-1])][1]
            there = find(root, problem.place) if isinstance(problem.place, tuple) else None
            if path[:1] == ("search",) and there is not None and isinstance(there.value, str) and "$" in there.value:
                hint = "variables have no values in this section: write the value itself"
            yield replace(problem, hint=hint)


PATTERNS = {
    "name": ("is not a valid run name", "use letters, digits, - _ and . only"),
    "every": ("is not an interval", "for example 500 steps, 2 epochs or 10 minutes"),
    "price": ("is not a price", "for example 0.25 per hour"),
    "power": ("is not a power", "for example 65 W"),
    "expect": ("is not a bound", 'for example ">= 0.97"'),
}
"""Messages and hints for strings that do not match the pattern of their key."""
WITH_UNITS = {("checkpoint", "every"), ("cost", "price"), ("cost", "power")}
"""The ends of paths to strings that a number in quotes does not match."""


def written_path(location: tuple[str | int, ...], root: Node) -> ConfigPath:
    """Return pydantic's location without the tags that it adds for the members of a union."""
    path: ConfigPath = ()
    for index, step in enumerate(location):
        is_last = index == len(location) - 1
        section = section_at(path) if is_last else None
        if find(root, (*path, step)) is not None or (section is not None and step in keys_of(section)):
            path = (*path, step)
    return path


def section_at(path: ConfigPath) -> type[Section] | None:
    """Return the class that describes the mapping at `path`; None unless it is one of dltool's own."""
    section: type[Section] = Config
    is_name = False
    for step in path:
        if is_name or isinstance(step, int):
            # A key of a mapping, or a place in a list, whose values are such sections.
            is_name = False
            continue
        field = section.model_fields.get(str(step))
        is_name = field is not None and get_origin(field.annotation) is dict
        below = next(sections_in(field.annotation), None) if field else None
        if below is None:
            return None
        section = below
    return section


def annotation_at(path: ConfigPath) -> Any:
    """Return the type of the field that holds the value at `path`; for an item, that of its list."""
    depth = max((index for index, step in enumerate(path) if isinstance(step, str)), default=0)
    section = section_at(path[:depth])
    field = section.model_fields.get(str(path[depth])) if section and path else None
    return annotation_of(field)


def sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for member in get_args(annotation):
        yield from sections_in(member)


def sections(section: type[Section] = Config, path: ConfigPath = ()) -> Iterator[tuple[ConfigPath, type[Section]]]:
    """Yield every section except those under user-defined names."""
    yield path, section
    for name, field in section.model_fields.items():
        for below in sections_in(field.annotation) if get_origin(field.annotation) is not dict else ():
            yield from sections(below, (*path, name))


def unknown_key(path: ConfigPath) -> Problem:
    *above, key = path
    section = section_at(tuple(above))
    known = sorted(keys_of(section)) if section else []
    homes = [format_path((*place, str(key))) for place, other in sections() if key in keys_of(other)]
    usual = f"it belongs at {' or '.join(homes)}" if homes else f"known keys: {', '.join(known)}"
    return Problem(path, "unknown key", did_you_mean(near(str(key), known)) or usual, at_key=True)


EXAMPLES = {
    "data": "for example data: {source: digits}",
    "source": "for example source: digits",
    "model": "for example model: {layers: [Flatten, Dense: 10]}",
    "layers": "for example layers: [Flatten, Dense: 10]",
    "training": "for example training: {optimizer: adam, loss: mse, epochs: 5}",
    "optimizer": "for example optimizer: adam",
    "loss": "for example loss: sparse_categorical_crossentropy",
    "epochs": "for example epochs: 5",
}
