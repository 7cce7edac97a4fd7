"""Resolves a tree for validation: no names, expressions or notes, and absolute paths."""

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dltool.config.keras.objects import BACKBONE, FROM, HUB, PUBLISHED, TOKENIZER, UNKNOWN
from dltool.config.last_layer import LAYERS
from dltool.config.schema import Training
from dltool.config.sources import SOURCES, TABLE_SOURCES
from dltool.config.table_sources import SQLITE
from dltool.config.text.blocks import WrittenLayer
from dltool.config.text.expansion import flat_layers
from dltool.config.text.expressions import DATA_FACTS, OWN_NAMES, TARGET_FACTS, Substitution, doubled
from dltool.config.text.merge import SOURCE_PLACES
from dltool.config.text.tree import MappingEntry, Node, children, entries_of, find, items_of, scalars, with_children
from dltool.config.validate import section_at
from dltool.config.wording import named
from dltool.environment import conceal
from dltool.errors import ConfigPath, Problem, TextPath
from dltool.keras_names import find_all

PATH_OPTIONS = ("path", "x", "y", "url")
PASSWORD = re.compile(r"://[^/@]*:[^/@]+@|[?&]password=")
CALLBACKS = ("training", "callbacks")
NOT_EXPERIMENT = ("vars", "extends")
NOTE = "x-"
"""Prefix of the user's own keys."""
INSTEAD = "write the text out, or let the shell do so: --set KEY=$NAME, --name $NAME"


def resolve(
    root: Node, name: str, folders: Mapping[str, Path], facts: Mapping[str, Any] | None
) -> tuple[Node, tuple[WrittenLayer, ...], list[Problem]]:
    """Return the tree without `vars`, `extends` and `x-` keys, names and expressions replaced, paths absolute. Blocks
    and repeats are expanded; the second result holds the location of each layer. `name` is the default name of the
    config; `folders` are those of the texts by name."""
    variables, problems = user_variables(root)
    substitution = Substitution(names_of_facts(root, variables, facts), variables, problems)
    for variable in variables:
        substitution.check_variable(variable)
    entries = {key: entry for key, entry in root.value.items() if key not in NOT_EXPERIMENT}
    entries.setdefault("name", MappingEntry(root.position, Node(name.replace("$", "$$"), root.position)))
    noted = without_notes(Node(entries, root.position))
    model, search = noted.value.pop("model", None), noted.value.pop("search", None)
    resolved = substitution.resolve(noted, ())
    if search is not None:
        # Its values are resolved where a trial has them.
        resolved.value["search"] = search
    written: tuple[WrittenLayer, ...] = ()
    if model is not None:
        source = find(resolved, ("data", "source"))
        may_have_columns = source is None or next(iter(entries_of(source)), "") in (*TABLE_SOURCES, "arrays")
        node, written = written_out(model.node, substitution, may_have_columns)
        resolved.value["model"] = replace(model, node=node)
    known = {problem.place for problem in problems}
    problems += [problem for problem in dependent_data(resolved, facts is not None) if problem.place not in known]
    # Their locations are paths in the text as written.
    found = [replace(each, place=TextPath(each.place)) if isinstance(each.place, tuple) else each for each in problems]
    return with_absolute_paths(resolved, folders), written, found


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
            options = below["outputs"].node.value[output].node
            given = MappingEntry(options.position, replace(options, value=called[name], written=""))
            node = replace(options, value={**options.value, FROM: given})
            below["outputs"] = replace(below["outputs"], node=replaced(below["outputs"].node, (output,), node))
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
    probe = Substitution(names, variables)

    def setting(*path: str | int, default: Any = UNKNOWN) -> Any:
        node = find(root, ("training", *path))
        value = probe.resolve(node, ()).value if node else default
        is_count = isinstance(value, int) and value > 0 and not isinstance(value, bool)
        return value if is_count else UNKNOWN

    epochs, batch_size = setting("epochs"), setting("batch_size", default=Training.model_fields["batch_size"].default)
    if phases := items_of(find(root, ("training", "phases"))):
        each = [setting("phases", index, "epochs") for index, _ in enumerate(phases)]
        epochs = UNKNOWN if UNKNOWN in each else sum(each)
    is_known = batch_size is not UNKNOWN and names["examples"] is not UNKNOWN
    steps = math.ceil(names["examples"] / batch_size) if is_known else UNKNOWN
    return {**names, "epochs": epochs, "steps_per_epoch": steps}


def names_of_targets(root: Node) -> list[str]:
    """Return the names for each of several targets: `classes_digit`, `target_shape_digit`."""
    targets = entries_of(find(root, ("data", "source", "arrays", "y")) or find(root, ("data", "target")))
    return [f"{fact}_{target}" for target in targets if len(targets) > 1 for fact in TARGET_FACTS]


def user_variables(root: Node) -> tuple[dict[str, Node], list[Problem]]:
    if "vars" not in root.value:
        return {}, []
    node = root.value["vars"].node
    if not isinstance(node.value, Mapping):
        return {}, [Problem(("vars",), f"expected a mapping, got {named(node.value)}")]
    own, problems = {*OWN_NAMES, *names_of_targets(root)}, []
    for name in node.value:
        if not name.isidentifier():
            problems.append(Problem(("vars", name), "invalid name: use letters, digits and _ only", at_key=True))
        elif name in own:
            problems.append(Problem(("vars", name), f"${name} is a built-in name", "choose another name", at_key=True))
    return {name: entry.node for name, entry in node.value.items()}, problems


def dependent_data(resolved: Node, are_known: bool) -> list[Problem]:
    """Return the problems of values that describe the data and depend on it, or that depend on themselves: they are
    unknown although the facts `are_known`."""
    unknown = [path for path, node in scalars(resolved) if node.value is UNKNOWN]
    problems = [
        Problem(path, "cannot depend on the data that it describes")
        for path in unknown
        if path[0] == "data" and len(path) > 1 and path[1] not in ("preprocessing", "augmentation")
    ]
    divides = "cannot depend on the data that it divides"
    problems += [Problem(path, divides) for path in unknown if path == ("seed",)]
    counts = [path for path in unknown if path[0] == "training" and path[-1] in ("batch_size", "epochs")]
    return problems + [Problem(path, "it depends on itself") for path in counts if are_known]


def with_absolute_paths(root: Node, folders: Mapping[str, Path]) -> Node:
    """Make paths of data and weights absolute, relative to the folder of the text that holds their first characters.
    That is the file of the path itself, of its variable, or of the expression; for `--set` the working directory."""
    for place, node in (*data_paths(root), *weight_paths(root)):
        file = (node.defined or node.position).file
        if node.value == node.expression or (file not in folders and not node.expression):
            # In a recorded config: the variable is not set, or the path is absolute already.
            continue
        head = SQLITE if place[-1] == "url" else ""
        if not node.value.startswith(head) or (node.expression and not node.expression.startswith(head)):
            # The URL of a server, or one from the environment.
            continue
        folder = folders.get(file, Path.cwd())
        path = os.path.expanduser(node.value.removeprefix(head))
        absolute = head + os.path.normpath(folder / path)
        changed = replace(node, value=absolute)
        if node.expression:
            if not os.path.isabs(path):
                expression = f"{head}{doubled(str(folder))}/{node.expression.removeprefix(head)}"
                changed = replace(changed, expression=expression)
            conceal(absolute, changed.expression)
        root = replaced(root, place, changed)
    return root


def public_texts(root: Node) -> Iterator[Problem]:
    """Yield the texts from the environment that would be written into a run: all but paths, arguments of callbacks and
    names that Keras or dltool itself knows; and passwords in URLs."""
    private = private_places(root)
    for path, node in scalars(root):
        # Bounds are numbers.
        is_text = isinstance(node.value, str) and bool(node.expression) and path[0] != "expect"
        if is_text and path not in private and node.value not in SOURCES and not find_all(node.value):
            yield Problem(path, f"the text of {node.expression} would be written into the run here", INSTEAD)
        if path[-1] == "url" and path in private and not node.expression and PASSWORD.search(node.value):
            hint = "write url: $(env.DATABASE), and set this variable to the URL"
            yield Problem(path, "the password in the URL would be written into the run", hint)


def private_places(root: Node) -> set[ConfigPath]:
    """Return the places whose texts no file of a run needs: paths, and the arguments of callbacks."""
    paths = {path for path, _ in (*data_paths(root), *weight_paths(root))}
    callbacks = find(root, CALLBACKS)
    return paths | {(*CALLBACKS, *path) for path, _ in (scalars(callbacks) if callbacks is not None else ())}


def data_paths(root: Node) -> Iterator[tuple[ConfigPath, Node]]:
    found: list[tuple[ConfigPath, Node]]
    for place in SOURCE_PLACES:
        for name, entry in entries_of(find(root, place)).items():
            below = children(entry.node)
            found = [((*place, name, option), child) for option, child in below if option in PATH_OPTIONS]
            # `mnist: a.npz` is short for `mnist: {path: a.npz}`.
            short = ((*place, name), entry.node)
            for path, node in found or [short]:
                several = [((*path, step), child) for step, child in children(node) if isinstance(step, int)]
                yield from ((each, child) for each, child in several or [(path, node)] if isinstance(child.value, str))


def weight_paths(root: Node) -> Iterator[tuple[ConfigPath, Node]]:
    """Yield paths of weights: those of `model.start`, of `training.teacher`, and of `backbone: {NAME: {weights:
    FILE}}`, in short `backbone: {NAME: FILE}`; and of presets with a slash, which are folders, tokenizers as well."""
    for place in (("model", "start"), ("training", "teacher")):
        for key, entry in entries_of(find(root, place)).items():
            if key in ("run", "weights") and isinstance(entry.node.value, str):
                yield (*place, key), entry.node
    layers = find(root, ("model", "layers"))
    for path, node in scalars(layers) if layers is not None else ():
        is_hub = path[2:3] == (HUB,)
        is_given = path[1:2] == (BACKBONE,) and (len(path) == 3 or path[3:] == ("preset" if is_hub else "weights",))
        if is_given and isinstance(node.value, str) and ("/" in node.value if is_hub else node.value != PUBLISHED):
            yield ("model", "layers", *path), node
    data = find(root, ("data",))
    for path, node in scalars(data) if data is not None else ():
        is_layer = path[:1] == ("preprocessing",) and path[2:] in ((TOKENIZER,), (TOKENIZER, "preset"))
        is_preset = is_layer or (path[:1] == ("inputs",) and path[2:] == ("text", "preset"))
        if is_preset and isinstance(node.value, str) and "/" in node.value:
            yield ("data", *path), node


def replaced(node: Node, path: ConfigPath, new: Node) -> Node:
    if not path:
        return new
    step, *below = path
    return with_children(node, lambda key, child: replaced(child, tuple(below), new) if key == step else child)
