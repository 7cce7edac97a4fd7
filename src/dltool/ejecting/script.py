"""The whole script of a run, `train.py`, and the files beside it."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np

from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.ejecting.data_code import data_blocks
from dltool.ejecting.decisions import left_out
from dltool.ejecting.ejected_run import Block, EjectedRun
from dltool.ejecting.model_code import model_blocks
from dltool.ejecting.python_text import text
from dltool.ejecting.training_code import converted_metrics, training_blocks
from dltool.keras_names import ALLOWED
from dltool.model.build import BuiltModel
from dltool.text import listed
from dltool.training.batches import model_targets

LARGEST_SPLIT = 2**31

IMPORTS: Mapping[str, str] = {
    "fnmatch(": "from fnmatch import fnmatch",
    "math.": "import math",
    "np.": "import numpy as np",
    "pd.": "import pandas as pd",
    "tf.": "import tensorflow as tf",
    "layers.": "from keras import layers",
    "datasets.load": "from sklearn import datasets",
}
"""Imports, by the text in a script that needs them."""


def script_of(ejected: EjectedRun, checked: str) -> str:
    """Return the script. `checked` is a sentence about how its losses compare with those of the run."""
    titled = [
        ("Data", data_blocks(ejected)),
        ("Model", model_blocks(ejected)),
        ("Training", training_blocks(ejected)),
    ]
    body = joined([block for title, blocks in titled for block in [[f"# --- {title} ---"], *blocks]])
    first = constants(ejected)
    needed = "\n".join([*first, *body])
    return "\n".join([*header(ejected, checked), "", *imports(ejected, needed), "", *first, "", *body, ""])


def with_epochs(config: Config, most: int) -> Config:
    """Return the config of a training that ends after so many epochs."""
    training, left, phases = config.training, most, []
    for phase in training.phases or ():
        if left:
            phases.append(phase.model_copy(update={"epochs": min(left, phase.epochs)}))
            left -= phases[-1].epochs
    update = {"phases": tuple(phases)} if phases else {"epochs": min(most, training.total_epochs)}
    return config.model_copy(update={"training": training.model_copy(update=update)})


def shortened_run(ejected: EjectedRun, epochs: int) -> EjectedRun:
    return replace(ejected, config=with_epochs(ejected.config, epochs))


def joined(blocks: Sequence[Block]) -> Block:
    """Return the lines of blocks, with the empty lines between them that functions and classes need."""
    lines: Block = []
    before: Block = []
    for block in blocks:
        if before:
            apart = 2 if is_definition(block) or is_definition(before) else 1
            if before[0].startswith("# ---"):
                apart = 2 if is_definition(block) else 1
            lines += [""] * apart
        lines += block
        before = block
    return lines


def is_definition(block: Block) -> bool:
    return any(line.startswith(("def ", "class ")) for line in block)


def header(ejected: EjectedRun, checked: str) -> Block:
    config, run = ejected.config, ejected.run
    versions = ejected.record.machine.get("versions", {})
    absent = left_out(config)
    converted = converted_metrics(ejected)
    if converted:
        absent.append(f"metrics for which targets or outputs were converted: {listed(converted, 10)}")
    own = f"keras {versions.get('keras')} and tensorflow {versions.get('tensorflow')}"
    paragraphs = [
        f"Made from the run {run.name}/{run.number}, and yours from here on: dltool is not needed. "
        "Run it by: python train.py",
        f"The run had {own}. {checked}",
    ]
    if absent:
        paragraphs.append(f"Not in this script: {'; '.join(absent)}.")
    lines = [f'"""Train, validate and test the model {config.name}.']
    for paragraph in paragraphs:
        lines += ["", *textwrap.wrap(paragraph, 80)]
    return [*lines, '"""']


def imports(ejected: EjectedRun, body: str) -> Block:
    """Return the settings that must precede TensorFlow, and the imports."""
    needed = [line for word, line in IMPORTS.items() if re.search(rf"(?<![\w.]){re.escape(word)}", body)]
    standard = [line for line in needed if line.endswith(("fnmatch", " math"))]
    others = [line for line in needed if line not in standard]
    first = ["import os", *(line for line in standard if line.startswith("import"))]
    first = sorted(first) + ["from pathlib import Path"]
    first = sorted(first, key=lambda line: line.startswith("from"))
    first = [*first[:-1], *(line for line in standard if line.startswith("from")), first[-1]]
    others = [*others, "import keras", "import tensorflow as tf"]
    others = sorted(dict.fromkeys(others), key=lambda line: (line.split()[1], line.startswith("from")))
    onednn = ejected.record.pinned.get("onednn", True)
    code = [f"from {module_of(each.shown_as)} import {', '.join(names)}" for each in ALLOWED if (names := used(each.names, body))]
    return [
        *first,
        "",
        "# These decide the last bits of sums, and have to be set before the import.",
        'os.environ["KERAS_BACKEND"] = "tensorflow"',
        f'os.environ["TF_ENABLE_ONEDNN_OPTS"] = "{int(bool(onednn))}"',
        "",
        *others,
        *(["", *code] if code else []),
    ]


def module_of(path: str) -> str:
    return re.split(r"[/\\]", path)[-1].removesuffix(".py")


def used(names: Mapping[str, Mapping[str, object]], body: str) -> list[str]:
    """Return the names of user code that the script mentions."""
    every = dict.fromkeys(name for each in names.values() for name in each)
    return [name for name in sorted(every) if re.search(rf"(?<![\w.\"]){name}\b", body)]


def constants(ejected: EjectedRun) -> Block:
    training, pinned = ejected.config.training, ejected.record.pinned
    lines = ["HERE = Path(__file__).parent", f"SEED = {ejected.config.seed}"]
    if training.phases is None:
        lines.append(f"EPOCHS = {training.epochs}")
    lines += [f"BATCH_SIZE = {training.batch_size}", "", "# Sums are divided among threads: their number decides the last bits too."]
    for kind in ("intra", "inter"):
        lines.append(f"tf.config.threading.set_{kind}_op_parallelism_threads({pinned.get(f'{kind}_op_threads', 1)})")
    if pinned.get("op_determinism"):
        lines.append("tf.config.experimental.enable_op_determinism()")
    usual = {"floatx": "float32", "epsilon": 1e-07, "image_data_format": "channels_last"}
    for name, each in (pinned.get("keras") or {}).items():
        if name in usual and each != usual[name]:
            lines.append(f"keras.config.set_{name}({text(each) if isinstance(each, str) else each!r})")
    return lines


def requirements(ejected: EjectedRun, script: str) -> str:
    """Return requirements.txt: the exact versions of what the script imports."""
    versions = ejected.record.machine.get("versions", {})
    packages = {"keras": "", "tensorflow": "", "numpy": ""}
    packages |= {"pandas": ""} if "import pandas" in script else {}
    packages |= {"scikit-learn": ""} if "from sklearn" in script else {}
    packages |= {"pyarrow": ""} if re.search(r"pd\.read_(parquet|feather|orc)", script) else {}
    return "".join(f"{name}=={versions.get(name) or version(name)}\n" for name in packages)


def files_of(ejected: EjectedRun, checked: str) -> dict[str, bytes]:
    """Return the files of the folder by name."""
    script = script_of(ejected, checked)
    run, own = ejected.run, ejected.run.own_table
    table = {} if own is None else {"data.parquet": own.read_bytes()}
    return {
        "train.py": script.encode(),
        "split.npz": run.read(run.split, LARGEST_SPLIT),
        "requirements.txt": requirements(ejected, script).encode(),
        **{f"{module_of(each.shown_as)}.py": each.source for each in ALLOWED},
        **table,
    }


def example_targets(built: BuiltModel, facts: Facts) -> dict[str, np.ndarray]:
    """Return targets by output of the right shape and dtype, without the data."""
    kinds = {name: "int32" if found.task.is_index else "float32" for name, found in facts.targets.items()}
    arrays = {name: np.zeros((1, *found.shape), kinds[name]) for name, found in facts.targets.items()}
    return model_targets(built, arrays)
