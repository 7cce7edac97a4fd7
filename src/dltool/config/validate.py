"""A resolved tree → the typed :class:`Config`, or every mistake in it in plain words."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from dltool.config.keras.objects import UNKNOWN
from dltool.config.schema import Config
from dltool.config.section import Section, keys_of
from dltool.config.text.tree import Node, find, format_path, to_plain
from dltool.config.wording import BOUND_KEYS, BOUNDS, EXPECTED, MISSING, bound, literal_choices, named
from dltool.errors import ConfigPath, Problem

NUMBERS_ONLY = "such names stand for numbers"
GROUPED = re.compile(r"[-+]?[0-9]+(_[0-9]+)+(\.[0-9]*)?")
"""A number as Python may write it, and YAML may not."""


def validate(root: Node) -> tuple[Config | None, list[Problem]]:
    """The config, or the problems that keep it from being one."""
    problems = list(loss_problems(root))
    try:
        config = Config.model_validate(to_plain(root))
        return (None if problems else config), problems
    except ValidationError as error:
        for details in error.errors(include_url=False):
            for problem in problems_of(dict(details), root):
                # The members of a union each have their complaint about the same value: the first one is enough.
                is_repeated = any(problem.place == other.place for other in problems)
                if not (is_repeated and details["type"] in {*EXPECTED, "literal_error"}):
                    problems.append(problem)
        return None, without_consequences(list(dict.fromkeys(problems)))


def loss_problems(root: Node) -> Iterator[Problem]:
    """Either the training has a loss, or each output of the model."""
    training, outputs = find(root, ("training",)), find(root, ("model", "outputs"))
    if training is None or not isinstance(training.value, Mapping):
        return
    if outputs is None or not outputs.value:
        if "loss" not in training.value:
            yield Problem(("training",), MISSING.format("loss"), EXAMPLES["loss"])
        return
    for key in ("loss", "metrics"):
        if key in training.value and training.value[key].node.value != ():
            message, hint = f"each of model.outputs has its own {key}", "remove it here"
            related = ((("model", "outputs"), "the outputs"),)
            yield Problem(("training", key), message, hint, at_key=True, related=related)


def without_consequences(problems: list[Problem]) -> list[Problem]:
    """Without the missing keys that a misspelt key beside them was meant to be."""
    meant = {(problem.place[:-1], problem.hint) for problem in problems if isinstance(problem.place, tuple)}
    return [
        problem
        for problem in problems
        if not any(
            place == problem.place and problem.message == MISSING.format(hint.split('"')[1])
            for place, hint in meant
            if hint.startswith('did you mean "')
        )
    ]


def problems_of(details: dict[str, Any], root: Node) -> Iterator[Problem]:
    """One of pydantic's errors as problems of ours."""
    path = written_path(details["loc"], root)
    context, kind, value = details.get("ctx", {}), details["type"], details["input"]
    if kind == "problems":
        for problem in context["problems"]:
            yield relocated(problem, path)
    elif kind == "missing":
        yield Problem(path[:-1], MISSING.format(path[-1]), missing_hint(path))
    elif kind == "extra_forbidden":
        yield unknown_key(path)
    elif kind == "unknown_whole":
        yield Problem(path, f"expected {context['expected']}, not {given(value, path, root)}", NUMBERS_ONLY)
    elif kind in EXPECTED:
        hint = NUMBERS_ONLY if value is UNKNOWN else type_hint(kind, value, path, root)
        yield Problem(path, f"expected {EXPECTED[kind]}, not {given(value, path, root)}", hint)
    elif kind == "literal_error":
        if not isinstance(value, Mapping):
            yield choice_problem(path, value, root)
    elif kind in BOUNDS:
        yield Problem(path, f"must be {BOUNDS[kind]} {bound(context[BOUND_KEYS[kind]])}, not {value}")
    elif kind == "finite_number":
        yield Problem(path, f"must be a finite number, not {value}")
    elif kind == "too_short":
        # The items with a mistake are not counted, and speak for themselves.
        if not value:
            yield Problem(path, "the list is empty")
    elif kind == "string_pattern_mismatch":
        yield pattern_problem(path, value)
    else:
        yield Problem(path, details["msg"])


def relocated(problem: Problem, base: ConfigPath) -> Problem:
    related = tuple(((*base, *place) if isinstance(place, tuple) else place, words) for place, words in problem.related)
    place = (*base, *problem.place) if isinstance(problem.place, tuple) else base
    return Problem(place, problem.message, problem.hint, problem.at_key, related)


def written_path(location: tuple[str | int, ...], root: Node) -> ConfigPath:
    """pydantic's location without the tags that it adds for the members of a union."""
    path: ConfigPath = ()
    for index, step in enumerate(location):
        is_last = index == len(location) - 1
        if find(root, (*path, step)) is not None or (is_last and section_at(path) is not None):
            path = (*path, step)
    return path


def section_at(path: ConfigPath) -> type[Section] | None:
    """The class that describes the mapping at `path`, if it is one of dltool's own."""
    section: type[Section] = Config
    is_name = False
    for step in path:
        if is_name or isinstance(step, int):
            # A key of a mapping, or a place in a list, whose values are such sections.
            is_name = False
            continue
        field = section.model_fields.get(str(step))
        is_name = field is not None and get_origin(field.annotation) is dict
        below = next((t for t in candidates(field.annotation) if issubclass(t, Section)), None) if field else None
        if below is None:
            return None
        section = below
    return section


def candidates(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for member in get_args(annotation):
        yield from candidates(member)


def sections(section: type[Section] = Config, path: ConfigPath = ()) -> Iterator[tuple[ConfigPath, type[Section]]]:
    """All but those under names of the user's own."""
    yield path, section
    for name, field in section.model_fields.items():
        for below in candidates(field.annotation) if get_origin(field.annotation) is not dict else ():
            if issubclass(below, Section):
                yield from sections(below, (*path, name))


def unknown_key(path: ConfigPath) -> Problem:
    *above, key = path
    section = section_at(tuple(above))
    known = sorted(keys_of(section)) if section else []
    homes = [format_path((*place, str(key))) for place, other in sections() if key in keys_of(other)]
    near = get_close_matches(str(key), known, 1, 0.6)
    if near:
        hint = f'did you mean "{near[0]}"?'
    elif homes:
        hint = f"it belongs at {' or '.join(homes)}"
    else:
        hint = "known here: " + ", ".join(known)
    return Problem(path, "unknown key", hint, at_key=True)


def missing_hint(path: ConfigPath) -> str:
    section = section_at(path[:-1])
    field = section.model_fields.get(str(path[-1])) if section else None
    return EXAMPLES.get(str(path[-1]), "") if field else ""


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


def given(value: Any, path: ConfigPath, root: Node) -> str:
    """The value in words; what waits for the data as it was written."""
    node = find(root, path)
    return node.written if value is UNKNOWN and node else named(value)


def type_hint(kind: str, value: Any, path: ConfigPath, root: Node) -> str:
    node = find(root, path)
    written = node.written if node else ""
    if path[:1] == ("expect",) and isinstance(value, int | float):
        return f'write ">= {written}"'
    if kind in {"int_type", "float_type"} and isinstance(value, str) and GROUPED.fullmatch(value):
        return f"write {value.replace('_', '')}"
    if kind == "string_type" and written:
        return f'quote it: "{written}"'
    if kind == "tuple_type":
        return f"write [{written}]" if written else ""
    if kind == "bool_type" and str(value).lower() in {"yes", "no", "on", "off"}:
        return f"write {'true' if str(value).lower() in {'yes', 'on'} else 'false'}"
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"write {int(value)}, or use // in the expression" if written.startswith("$") else f"write {int(value)}"
    return ""


def choice_problem(path: ConfigPath, value: Any, root: Node) -> Problem:
    # Of an item of a list, the list's field knows what it may be.
    depth = max(index for index, step in enumerate(path) if isinstance(step, str))
    section = section_at(path[:depth])
    field = section.model_fields.get(str(path[depth])) if section else None
    choices = [str(choice) for choice in literal_choices(field.annotation)] if field else []
    longer = [choice for choice in choices if len(str(value)) > 3 and str(value) in choice]
    near = longer or get_close_matches(str(value), choices, 1, 0.6)
    hint = f'did you mean "{near[0]}"?' if near else ""
    if field and any(get_origin(member) is dict for member in get_args(field.annotation)):
        choices.append("keys and values")
    return Problem(path, f"expected {' or '.join(choices)}, not {given(value, path, root)}", hint)


def pattern_problem(path: ConfigPath, value: str) -> Problem:
    if path == ("name",):
        return Problem(path, f'"{value[:60]}" cannot be the name of a folder', "letters, digits, - _ and . only")
    if path[-1] == "every":
        return Problem(path, f'"{value[:60]}" is not an interval', "for example 500 steps, 2 epochs or 10 minutes")
    return Problem(path, f'"{value[:60]}" is not a bound', 'for example ">= 0.97"')
