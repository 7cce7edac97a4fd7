"""A config drafted for some data: its text, checked by loading it, with the bound that its model has to meet."""

import re
from pathlib import Path

from dltool.config.load import Document, build_config
from dltool.config.text.yaml_reader import parse_yaml
from dltool.data.checked import checked_with
from dltool.data.dataset import load_data
from dltool.drafting.bound import Bound, bound_on
from dltool.drafting.draft import Draft, block

SEED = 42


def written(draft: Draft, stem: str, command: str, folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of the config, and warnings about the data. `command` trains it, `folder` is its folder.

    The config is loaded with its data once, for the baseline and so that none is written that cannot be trained.

    Raises ConfigError, DataError, MachineError: the data is not fit for training, with every problem."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:100] or "data"
    shown_as, text = "the drafted config", text_of(draft, name, command)
    root = parse_yaml(text, shown_as)
    document = Document(folder / "config.yaml", shown_as, root, {shown_as: text}, {shown_as: folder}, text.encode())
    config = build_config(document)
    dataset = load_data(config.data, config.seed)
    checked_with(document, dataset.facts)
    bound = bound_on(dataset, draft, config.data.windows)
    return text_of(draft, name, command, bound), dataset.warnings


def text_of(draft: Draft, name: str, command: str, bound: Bound | None = None) -> str:
    """Return the text of the config, without `expect` as long as there is no bound."""
    rules, expect = "", ""
    if bound is not None:
        rules = "".join(f"# Baseline: {words}.\n" for words in bound.words) + (draft.doubt and f"#   {draft.doubt}.\n")
        expect = f'\nexpect: {{{draft.metric}: "{bound.bound}"}}  # {bound.why}; a miss is exit code 7\n'
    return f"""\
# {draft.title}
#   {command}
{rules}name: {name}
seed: {SEED}  # the split, the initial weights and the order of the examples

data:
{block(draft.data, 2)}

model:
  layers:
{block(draft.layers, 4)}

training:
{block(draft.training, 2)}
{expect}{space_of(draft, command)}"""


def space_of(draft: Draft, command: str) -> str:
    """Return a search space in comments for a network of dense layers, which trains in seconds; empty for others."""
    lines = (text for text, _ in draft.training)
    optimizer = next(filter(None, (re.match(r"optimizer: \{(\w+): \{learning_rate:", text) for text in lines)), None)
    first = re.match(r"- Dense: \{units: (\d+),", draft.layers[0][0])
    if first is None or optimizer is None:
        return ""
    units = int(first[1])
    return f"""
# Without the "# " before these lines, {command.replace("dltool train", "dltool search")} finds better values:
# search:
#   space:
#     training.optimizer.{optimizer[1]}.learning_rate: {{log: [1e-4, 1e-2]}}
#     model.layers[0].Dense.units: {{integer: [{max(2, units // 4)}, {4 * units}], log: true}}
"""
