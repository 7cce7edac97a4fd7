"""The whole script of a run, `train.py`, and the files beside it."""

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from keyword import iskeyword
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.sources import FOLDER_SOURCES
from dltool.data.facts import Facts
from dltool.durable_files import read_file
from dltool.ejecting.data_code import data_blocks
from dltool.ejecting.decisions import left_out
from dltool.ejecting.ejected_run import Block, EjectedRun, is_reordered
from dltool.ejecting.file_code import files_csv
from dltool.ejecting.model_code import model_blocks
from dltool.ejecting.python_text import WIDTH, flat, value
from dltool.ejecting.training_code import converted_metrics, training_blocks
from dltool.errors import ConfigError
from dltool.keras_names import ALLOWED, AllowedCode
from dltool.model.build import BuiltModel
from dltool.runs.records import recorded_threads
from dltool.text import listed, printable, quoted
from dltool.training.batches import model_targets

LARGEST_SPLIT = 2**31

IMPORTS: Mapping[str, str] = {
    "io.": "import io",
    "math.": "import math",
    "": "import os",
    "re.": "import re",
    "tarfile.": "import tarfile",
    "zipfile.": "import zipfile",
    "fnmatch(": "from fnmatch import fnmatch",
    "Path(": "from pathlib import Path",
    "keras.": "import keras",
    "np.": "import numpy as np",
    "pd.": "import pandas as pd",
    "soundfile.": "import soundfile",
    "tf.": "import tensorflow as tf",
    "layers.": "from keras import layers",
    "Image.": "from PIL import Image, ImageOps",
    "resample_poly(": "from scipy.signal import resample_poly",
    "datasets.load": "from sklearn import datasets",
}
"""Imports in order, by the text in a script that needs them."""
RESERVED_MODULES = ("train", *dict.fromkeys(line.split()[1].split(".")[0] for line in IMPORTS.values()))
STANDARD = tuple(IMPORTS.values())[:8]


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


def shortened_run(ejected: EjectedRun, epochs: int) -> EjectedRun:
    """Return the run with a training that ends after so many epochs."""
    training, left, phases = ejected.config.training, epochs, []
    for phase in training.phases or ():
        phases.append(phase.model_copy(update={"epochs": min(left, phase.epochs)}))
        left -= phases[-1].epochs
    kept = tuple(phase for phase in phases if phase.epochs)
    update = {"phases": kept} if kept else {"epochs": epochs}
    config = ejected.config.model_copy(update={"training": training.model_copy(update=update)})
    return replace(ejected, config=config)


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
    """Return the docstring of the script. Names in it come from the run, and must not end it."""
    run, absent = ejected.run, left_out(ejected.config)
    if converted := converted_metrics(ejected):
        absent.append(f"metrics for which targets or outputs were converted: {listed(converted, 10)}")
    own = " and ".join(f"{name} {version_of(ejected, name)}" for name in ("keras", "tensorflow"))
    paragraphs = [
        f"Made from the run {run.name}/{run.number}, which had {own}. {checked} It needs no dltool: python train.py",
        *([f"Not in this script: {'; '.join(absent)}."] if absent else []),
    ]
    lines = [f"Train, validate and test the model {ejected.config.name}."]
    for paragraph in paragraphs:
        lines += ["", *textwrap.wrap(paragraph, WIDTH)]
    safe = [printable(line).replace("\\", "/").replace('"', "'") for line in lines]
    return [f'"""{safe[0]}', *safe[1:], '"""']


def imports(ejected: EjectedRun, body: str) -> Block:
    """Return the settings that must precede TensorFlow, and the imports of what `body` uses."""
    needed = [line for word, line in IMPORTS.items() if re.search(rf"(?<![\w.]){re.escape(word)}", body)]
    own = [(each, [name for names in each.names.values() for name in names]) for each in ALLOWED]
    code = [
        f"from {module_of(each)} import {', '.join(sorted({*found}))}"
        for each, names in own
        if (found := [name for name in names if re.search(rf"(?<![\w.\"]){name}\b", body)])
    ]
    onednn = ejected.record.pinned.get("onednn", True)
    return [
        *(line for line in needed if line in STANDARD),
        "",
        "# These decide the last bits of sums, and have to be set before the imports.",
        'os.environ["KERAS_BACKEND"] = "tensorflow"',
        f'os.environ["TF_ENABLE_ONEDNN_OPTS"] = "{int(bool(onednn))}"',
        "",
        *(line for line in needed if line not in STANDARD),
        *(["", *code] if code else []),
    ]


def module_of(code: AllowedCode) -> str:
    """Return the name by which the script imports user code. Raises ConfigError: Python could not import it."""
    name = Path(code.shown_as).stem
    if not name.isidentifier() or iskeyword(name) or name in RESERVED_MODULES:
        raise ConfigError(f"{code.shown_as} cannot be ejected: no script can import {quoted(name)}", "rename the file")
    return name


def constants(ejected: EjectedRun) -> Block:
    """Return the numbers of the run and the settings that decide last bits."""
    training, pinned = ejected.config.training, ejected.record.pinned
    lines = ["HERE = Path(__file__).parent", f"SEED = {ejected.config.seed}"]
    lines += [f"EPOCHS = {training.epochs}"] if training.phases is None else []
    lines += [f"BATCH_SIZE = {training.batch_size}", ""]
    lines.append("# Sums are divided among threads: their number decides the last bits too.")
    threads = recorded_threads(ejected.run, ejected.record)
    lines += [f"tf.config.threading.set_{kind}_op_parallelism_threads({threads})" for kind in ("intra", "inter")]
    lines += ["tf.config.experimental.enable_op_determinism()"] if pinned.get("op_determinism") is True else []
    for name, usual in KERAS_SETTINGS.items():
        own = (pinned.get("keras") or {}).get(name, usual)
        lines += [f"keras.config.set_{name}({flat(value(own))})"] if own != usual else []
    return lines


KERAS_SETTINGS: Mapping[str, Any] = {"floatx": "float32", "epsilon": 1e-07, "image_data_format": "channels_last"}
PACKAGES = {"import pandas": "pandas", "from sklearn": "scikit-learn", "read_parquet": "pyarrow"}
PACKAGES |= {"read_feather": "pyarrow", "read_orc": "pyarrow"}
PACKAGES |= {"from PIL": "pillow", "import soundfile": "soundfile", "from scipy": "scipy"}
"""Packages that a script needs besides Keras, TensorFlow and NumPy, by the text in it."""


def requirements(ejected: EjectedRun, script: str) -> str:
    """Return requirements.txt: the exact versions of what the script imports."""
    further = [package for word, package in PACKAGES.items() if word in script]
    names = dict.fromkeys(("keras", "tensorflow", "numpy", *further))
    return "".join(f"{name}=={version_of(ejected, name)}\n" for name in names)


def version_of(ejected: EjectedRun, package: str) -> str:
    """Return the version that the run recorded, or the installed one."""
    recorded = str((ejected.record.machine.get("versions") or {}).get(package))
    return recorded if re.fullmatch(r"[0-9][\w.+!-]{0,40}", recorded) else version(package)


def files_of(ejected: EjectedRun, checked: str) -> dict[str, bytes]:
    """Return the files of the folder by name."""
    script = script_of(ejected, checked)
    own = ejected.run.own_table
    table = {} if own is None else {"data.parquet": read_file(own.parent, own.name, own.stat().st_size)}
    return {
        "train.py": script.encode(),
        "split.npz": split_file(ejected),
        **({"files.csv": files_csv(ejected)} if ejected.config.data.source.name in FOLDER_SOURCES else {}),
        **({} if ejected.start is None else {"start.npz": archived(*ejected.start)}),
        "requirements.txt": requirements(ejected, script).encode(),
        **{f"{module_of(each)}.py": each.source for each in ALLOWED},
        **table,
    }


def split_file(ejected: EjectedRun) -> bytes:
    """Return the row numbers of each split. Those of windows are where they begin in the rows of the table, whose order
    is added if it is not that of the file."""
    content, windowed = ejected.run.read(ejected.run.split, LARGEST_SPLIT), ejected.windowed
    if windowed is None:
        return content
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: windowed.starts[file[name]] for name in file.files}
    return archived(**arrays, **({"order": windowed.rows} if is_reordered(windowed) else {}))


def archived(*arrays: np.ndarray, **named: np.ndarray) -> bytes:
    """Return an `.npz` file."""
    buffer = io.BytesIO()
    np.savez(buffer, *arrays, **named)  # type: ignore[arg-type]
    return buffer.getvalue()


def example_targets(built: BuiltModel, facts: Facts) -> dict[str, np.ndarray]:
    """Return targets by output of the right shape and dtype, without the data."""
    kinds = {name: "int32" if found.task.is_index else "float32" for name, found in facts.targets.items()}
    arrays = {name: np.zeros((1, *found.shape), kinds[name]) for name, found in facts.targets.items()}
    return model_targets(built, arrays)
