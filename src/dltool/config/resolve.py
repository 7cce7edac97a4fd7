"""A tree as written → the tree that is validated: no names and expressions, no notes, paths absolute."""

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dltool.config.expressions import Substitution
from dltool.config.keras_objects import UNKNOWN
from dltool.config.schema import DATA_FACTS, TARGET_FACTS, Training
from dltool.config.tree import Entry, Node, children, find, scalars
from dltool.config.validate import section_at
from dltool.errors import ConfigPath, Problem

SOURCE_PLACES = (("data", "source"), ("data", "validation"), ("data", "test"))
PATH_OPTIONS = ("path", "x", "y")
NOT_EXPERIMENT = ("vars", "extends")
NOTE = "x-"
"""Keys that begin with this are the user's own."""


def resolve(
    root: Node, name: str, folders: Mapping[str, Path], facts: Mapping[str, Any] | None
) -> tuple[Node, list[Problem]]:
    """The tree without `vars`, `extends` and `x-` keys, every name and expression replaced, paths absolute.

    `name` is that of a config that gives itself none; `folders` are those of the texts that positions are in.
    """
    variables, problems = user_variables(root)
    substitution = Substitution(names_of_facts(root, variables, facts), variables, os.environ, problems)
    for variable in variables:
        substitution.check_variable(variable)
    entries = {key: entry for key, entry in root.value.items() if key not in NOT_EXPERIMENT}
    entries.setdefault("name", Entry(root.position, Node(name.replace("$", "$$"), root.position)))
    resolved = substitution.resolve(without_notes(Node(entries, root.position)), ())
    known = {problem.place for problem in problems}
    dependent = [problem for problem in dependent_data(resolved) if problem.place not in known]
    return with_absolute_paths(resolved, folders), problems + dependent


def without_notes(node: Node, path: ConfigPath = ()) -> Node:
    """The tree without `x-` keys in dltool's own sections. What is inside Keras objects is Keras's."""
    is_own = section_at(path) is not None or path[:-1] in SOURCE_PLACES
    if not (is_own or path in SOURCE_PLACES) or not isinstance(node.value, Mapping):
        return node
    kept = {key: entry for key, entry in node.value.items() if not (is_own and key.startswith(NOTE))}
    below = {key: replace(entry, node=without_notes(entry.node, (*path, key))) for key, entry in kept.items()}
    return replace(node, value=below)


def names_of_facts(root: Node, variables: Mapping[str, Node], facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """The facts together with the two names that the config itself decides: `epochs` and `steps_per_epoch`."""
    names = dict.fromkeys((*DATA_FACTS, *names_of_targets(root)), UNKNOWN) if facts is None else dict(facts)
    probe = Substitution(names, variables, os.environ)

    def setting(key: str, default: Any) -> Any:
        node = find(root, ("training", key))
        value = probe.resolve(node, ()).value if node else default
        is_count = isinstance(value, int) and value > 0 and not isinstance(value, bool)
        return value if is_count else UNKNOWN

    epochs, batch_size = setting("epochs", UNKNOWN), setting("batch_size", Training.model_fields["batch_size"].default)
    examples = names["examples"]
    steps: Any = UNKNOWN
    if isinstance(batch_size, int) and isinstance(examples, int):
        steps = math.ceil(examples / batch_size)
    return {**names, "epochs": epochs, "steps_per_epoch": steps}


def names_of_targets(root: Node) -> list[str]:
    """The names that there are for each of several targets: `classes_digit`, `target_shape_digit`."""
    named = find(root, ("data", "source", "arrays", "y")) or find(root, ("data", "target"))
    targets = named.value if named is not None and isinstance(named.value, Mapping) and len(named.value) > 1 else ()
    return [f"{fact}_{target}" for target in targets for fact in TARGET_FACTS]


def user_variables(root: Node) -> tuple[dict[str, Node], list[Problem]]:
    if "vars" not in root.value:
        return {}, []
    node = root.value["vars"].node
    if not isinstance(node.value, Mapping):
        return {}, [Problem(("vars",), "expected names and their values")]
    own = {*DATA_FACTS, *names_of_targets(root), "epochs", "steps_per_epoch", "env"}
    problems = [
        Problem(("vars", name), "not a name: letters, digits and _ only", at_key=True)
        if not name.isidentifier()
        else Problem(("vars", name), f"${name} is a name of dltool's own", "choose another name", at_key=True)
        for name in node.value
        if not name.isidentifier() or name in own
    ]
    return {name: entry.node for name, entry in node.value.items()}, problems


def dependent_data(resolved: Node) -> list[Problem]:
    """What cannot be known in time: the data's own description in terms of the data."""
    data = find(resolved, ("data",))
    problems = [
        Problem(("data", *path), "cannot depend on the data that it describes")
        for path, node in (scalars(data) if data else ())
        if node.value is UNKNOWN and path and path[0] not in ("preprocessing", "augmentation")
    ]
    seed = find(resolved, ("seed",))
    if seed is not None and seed.value is UNKNOWN:
        problems.append(Problem(("seed",), "cannot depend on the data that it divides"))
    return problems


def with_absolute_paths(root: Node, folders: Mapping[str, Path]) -> Node:
    """Relative data paths made absolute, by the folder of the text that holds their characters.

    That is the file of the path itself, of the variable whose value it is, or of the expression that gives it; for
    `--set` it is the working directory.
    """
    for place in SOURCE_PLACES:
        source = find(root, place)
        for name, options in children(source) if source is not None and isinstance(source.value, Mapping) else ():
            # `mnist: a.npz` is short for `mnist: {path: a.npz}`.
            below = [(option, child) for option, child in children(options) if option in PATH_OPTIONS]
            found: list[tuple[ConfigPath, Node]] = [((name, option), child) for option, child in below]
            for steps, child in found or [((name,), options)]:
                if isinstance(child.value, str):
                    folder = folders[(child.defined or child.position).file]
                    absolute = os.path.normpath(folder / os.path.expanduser(child.value))
                    root = replaced(root, (*place, *steps), replace(child, value=absolute))
    return root


def replaced(node: Node, path: ConfigPath, new: Node) -> Node:
    if not path:
        return new
    entry = node.value[path[0]]
    return replace(node, value={**node.value, path[0]: Entry(entry.key, replaced(entry.node, path[1:], new))})
