"""Resolves a tree for validation: no names, expressions or notes, and absolute paths."""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dltool.config.keras.objects import BACKBONE, FROM, PUBLISHED, UNKNOWN
from dltool.config.last_layer import LAYERS
from dltool.config.schema import Training
from dltool.config.sources import TABLE_SOURCES
from dltool.config.text.blocks import WrittenLayer, entries_of
from dltool.config.text.expansion import flat_layers
from dltool.config.text.expressions import DATA_FACTS, OWN_NAMES, TARGET_FACTS, Substitution
from dltool.config.text.tree import MappingEntry, Node, children, find, scalars, with_children
from dltool.config.validate import section_at
from dltool.config.wording import named
from dltool.errors import ConfigPath, Problem, TextPath

SOURCE_PLACES = (("data", "source"), ("data", "validation"), ("data", "test"))
PATH_OPTIONS = ("path", "x", "y")
NOT_EXPERIMENT = ("vars", "extends")
NOTE = "x-"
"""Prefix of the user's own keys."""


def resolve(
    root: Node, name: str, folders: Mapping[str, Path], facts: Mapping[str, Any] | None
) -> tuple[Node, tuple[WrittenLayer, ...], list[Problem]]:
    """Return the tree without `vars`, `extends` and `x-` keys, names and expressions replaced, paths absolute.

    Blocks and repeats are expanded; the second result holds the location of each layer. `name` is the default name of
    the config; `folders` are those of the texts by name."""
    variables, problems = user_variables(root)
    substitution = Substitution(names_of_facts(root, variables, facts), variables, os.environ, problems)
    for variable in variables:
        substitution.check_variable(variable)
    entries = {key: entry for key, entry in root.value.items() if key not in NOT_EXPERIMENT}
    entries.setdefault("name", MappingEntry(root.position, Node(name.replace("$", "$$"), root.position)))
    noted = without_notes(Node(entries, root.position))
    model = noted.value.pop("model", None)
    resolved = substitution.resolve(noted, ())
    written: tuple[WrittenLayer, ...] = ()
    if model is not None:
        node, written = written_out(model.node, substitution, may_have_columns(resolved))
        resolved.value["model"] = replace(model, node=node)
    known = {problem.place for problem in problems}
    dependent = [problem for problem in dependent_data(resolved) if problem.place not in known]
    found = [in_text(problem) for problem in problems + dependent]
    return with_absolute_paths(resolved, folders), written, found


def in_text(problem: Problem) -> Problem:
    """Return the problem with its locations marked as paths in the text as written."""
    place = TextPath(problem.place) if isinstance(problem.place, tuple) else problem.place
    related = tuple((TextPath(at) if isinstance(at, tuple) else at, words) for at, words in problem.related)
    return replace(problem, place=place, related=related)


def may_have_columns(resolved: Node) -> bool:
    """Return whether the data has, or may have, named inputs."""
    source = find(resolved, ("data", "source"))
    name = next(iter(source.value), "") if source is not None and isinstance(source.value, Mapping) else ""
    return source is None or name in TABLE_SOURCES or name == "arrays"


def written_out(model: Node, substitution: Substitution, has_columns: bool) -> tuple[Node, tuple[WrittenLayer, ...]]:
    """Return the section with its flat list of layers. The blocks stay, for their form to be checked."""
    items = find(model, ("layers",))
    if items is not None and isinstance(items.value, str):
        # A variable may hold the list.
        model = replaced(model, ("layers",), substitution.resolve(items, LAYERS))
        items = find(model, ("layers",))
    if items is None or not isinstance(items.value, tuple):
        return substitution.resolve(model, ("model",)), ()
    below = {
        key: replace(entry, node=substitution.resolve(entry.node, ("model", key)))
        for key, entry in model.value.items()
        if key not in ("layers", "blocks")
    }
    ends = layers_of_outputs(below["outputs"].node) if "outputs" in below else {}
    layers, written, called = flat_layers(model, substitution, has_columns, ends.values())
    for output, name in ends.items():
        if called.get(name, name) != name:
            node = taking(below["outputs"].node, output, called[name])
            below["outputs"] = replace(below["outputs"], node=node)
    blocks = {"blocks": model.value["blocks"]} if "blocks" in model.value else {}
    layered = replace(model.value["layers"], node=replace(items, value=layers))
    return replace(model, value={**blocks, **below, "layers": layered}), written


def layers_of_outputs(outputs: Node) -> dict[str, str]:
    """Return the layer name of each well-formed output, by the name of the output."""
    found = {}
    for name, entry in entries_of(outputs).items():
        options = entries_of(entry.node)
        layer = options[FROM].node.value if FROM in options else name
        if isinstance(entry.node.value, Mapping) and isinstance(layer, str):
            found[name] = layer
    return found


def taking(outputs: Node, output: str, layer: str) -> Node:
    """Return the outputs with the layer of one of them replaced."""
    options = outputs.value[output].node
    given = MappingEntry(options.position, replace(options, value=layer, written=""))
    return replaced(outputs, (output,), replace(options, value={**options.value, FROM: given}))


def without_notes(node: Node, path: ConfigPath = ()) -> Node:
    """Return the tree without `x-` keys in dltool's own sections; Keras objects are left alone."""
    is_own = section_at(path) is not None or path[:-1] in SOURCE_PLACES
    if is_own and isinstance(node.value, Mapping):
        node = replace(node, value={key: entry for key, entry in node.value.items() if not key.startswith(NOTE)})
    if is_own or (path in SOURCE_PLACES and isinstance(node.value, Mapping)):
        return with_children(node, lambda step, child: without_notes(child, (*path, step)))
    return node


def names_of_facts(root: Node, variables: Mapping[str, Node], facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the facts, with `epochs` and `steps_per_epoch`, which follow from the config."""
    names = dict.fromkeys((*DATA_FACTS, *names_of_targets(root)), UNKNOWN) if facts is None else dict(facts)
    probe = Substitution(names, variables, os.environ)

    def setting(*path: str | int, default: Any = UNKNOWN) -> Any:
        node = find(root, ("training", *path))
        value = probe.resolve(node, ()).value if node else default
        is_count = isinstance(value, int) and value > 0 and not isinstance(value, bool)
        return value if is_count else UNKNOWN

    epochs, batch_size = setting("epochs"), setting("batch_size", default=Training.model_fields["batch_size"].default)
    phases = find(root, ("training", "phases"))
    if phases is not None and isinstance(phases.value, tuple):
        each = [setting("phases", index, "epochs") for index, _ in enumerate(phases.value)]
        epochs = UNKNOWN if UNKNOWN in each else sum(each)
    examples = names["examples"]
    steps: Any = UNKNOWN
    if isinstance(batch_size, int) and isinstance(examples, int):
        steps = math.ceil(examples / batch_size)
    return {**names, "epochs": epochs, "steps_per_epoch": steps}


def names_of_targets(root: Node) -> list[str]:
    """Return the names for each of several targets: `classes_digit`, `target_shape_digit`."""
    named = find(root, ("data", "source", "arrays", "y")) or find(root, ("data", "target"))
    targets = named.value if named is not None and isinstance(named.value, Mapping) and len(named.value) > 1 else ()
    return [f"{fact}_{target}" for target in targets for fact in TARGET_FACTS]


def user_variables(root: Node) -> tuple[dict[str, Node], list[Problem]]:
    if "vars" not in root.value:
        return {}, []
    node = root.value["vars"].node
    if not isinstance(node.value, Mapping):
        return {}, [Problem(("vars",), f"expected a mapping, got {named(node.value)}")]
    own = {*OWN_NAMES, *names_of_targets(root)}
    problems = [
        Problem(("vars", name), "invalid name: use letters, digits and _ only", at_key=True)
        if not name.isidentifier()
        else Problem(("vars", name), f"${name} is a built-in name", "choose another name", at_key=True)
        for name in node.value
        if not name.isidentifier() or name in own
    ]
    return {name: entry.node for name, entry in node.value.items()}, problems


def dependent_data(resolved: Node) -> list[Problem]:
    """Return the problems of values that describe the data and depend on it."""
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
    """Make paths of data and weights absolute, relative to the folder of the text that holds their characters.

    That is the file of the path itself, of its variable, or of the expression; for `--set` the working directory."""
    for place, node in (*data_paths(root), *weight_paths(root)):
        folder = folders[(node.defined or node.position).file]
        absolute = os.path.normpath(folder / os.path.expanduser(node.value))
        root = replaced(root, place, replace(node, value=absolute))
    return root


def data_paths(root: Node) -> Iterator[tuple[ConfigPath, Node]]:
    for place in SOURCE_PLACES:
        source = find(root, place)
        for name, options in children(source) if source is not None and isinstance(source.value, Mapping) else ():
            # `mnist: a.npz` is short for `mnist: {path: a.npz}`.
            below = [(option, child) for option, child in children(options) if option in PATH_OPTIONS]
            found: list[tuple[ConfigPath, Node]] = [((name, option), child) for option, child in below]
            for steps, child in found or [((name,), options)]:
                if isinstance(child.value, str):
                    yield (*place, *steps), child


def weight_paths(root: Node) -> Iterator[tuple[ConfigPath, Node]]:
    """Yield paths of weights files, `backbone: {NAME: {weights: FILE}}` or short `backbone: {NAME: FILE}`."""
    layers = find(root, ("model", "layers"))
    for path, node in scalars(layers) if layers is not None else ():
        is_weights = path[1:2] == (BACKBONE,) and (len(path) == 3 or path[3:] == ("weights",))
        if is_weights and isinstance(node.value, str) and node.value != PUBLISHED:
            yield ("model", "layers", *path), node


def replaced(node: Node, path: ConfigPath, new: Node) -> Node:
    if not path:
        return new
    step, *below = path
    return with_children(node, lambda key, child: replaced(child, tuple(below), new) if key == step else child)
