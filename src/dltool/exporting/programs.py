"""The programs of an export: use.py, which predicts with the runtime of the format alone, and preprocess.py."""

from dataclasses import dataclass
from pathlib import Path

from dltool.data import dates
from dltool.exporting import preprocess


@dataclass(frozen=True)
class Runtime:
    """How a program loads a file and runs it: the modules it needs, and lines of Python."""

    needs: str
    imports: str
    load: str
    run: str


RUNTIMES = {
    "saved_model": Runtime(
        "TensorFlow",
        "import numpy as np\nimport tensorflow as tf",
        'MODEL = tf.saved_model.load(str(FOLDER / "1"))',
        """\
    tensors = {name: tf.constant(values) for name, values in inputs.items()}
    found = MODEL.signatures["serving_default"](**tensors)
    return {name: values.numpy() for name, values in found.items()}""",
    ),
    "onnx": Runtime(
        "onnxruntime",
        "import numpy as np\nimport onnxruntime",
        'MODEL = onnxruntime.InferenceSession(FOLDER / "model.onnx")',
        """\
    names = [each["name"] for each in SIGNATURE["outputs"]]
    return dict(zip(names, MODEL.run(names, inputs), strict=True))""",
    ),
    "litert": Runtime(
        "ai-edge-litert",
        "import numpy as np\nfrom ai_edge_litert.interpreter import Interpreter",
        'MODEL = Interpreter(model_path=str(FOLDER / "model.tflite")).get_signature_runner()',
        """\
    rows = len(next(iter(inputs.values())))
    size, found = SIGNATURE["batch"] or rows, []
    for first in range(0, rows, size):
        # A last batch that is too small is filled with its last row.
        batch = np.minimum(np.arange(first, first + size), rows - 1)
        found.append(MODEL(**{name: values[batch] for name, values in inputs.items()}))
    return {name: np.concatenate([each[name] for each in found])[:rows] for name in found[0]}""",
    ),
    "openvino": Runtime(
        "openvino",
        "import numpy as np\nimport openvino",
        """\
# Without the hint, OpenVINO computes with 16 bits on some processors.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
MODEL = openvino.Core().compile_model(FOLDER / "model.xml", "CPU", EXACT)""",
        """\
    found = MODEL(inputs)
    return {each["name"]: found[each["name"]] for each in SIGNATURE["outputs"]}""",
    ),
}
PREPROCESS = """\
sys.path.insert(0, str(FOLDER))
from preprocess import preprocessed, read_states

STATES = read_states()
"""
PREPROCESSING = """\
    if "preprocessing" in entry:
        values = preprocessed(STATES[entry["preprocessing"]], values)
    elif isinstance(values, list):
"""


def use_program(name: str, is_preprocessed: bool) -> bytes:
    """Return use.py for a format."""
    runtime = RUNTIMES[name]
    modules = "import sys\n" if is_preprocessed else ""
    states = PREPROCESS if is_preprocessed else ""
    first = PREPROCESSING if is_preprocessed else "    if isinstance(values, list):\n"
    return f'''\
"""Predict with this export: `python use.py` repeats example.json. It needs NumPy and {runtime.needs}."""

import json
{modules}from pathlib import Path

{runtime.imports}

FOLDER = Path(__file__).parent
SIGNATURE = json.loads((FOLDER / "signature.json").read_text("utf-8"))
{states}{runtime.load}


def predict(columns):
    """Return the outputs by name, for a list or an array of raw values by column; None is a missing value."""
    inputs = {{each["name"]: as_array(each, columns[each["column"]]) for each in SIGNATURE["inputs"]}}
{runtime.run}


def as_array(entry, values):
    """Return the values of an input as the file takes them."""
{first}        values = [entry["missing"] if value is None else value for value in values]
    return np.asarray(values, object if entry["dtype"] == "string" else entry["dtype"])


if __name__ == "__main__":
    example = json.loads((FOLDER / "example.json").read_text("utf-8"))
    outputs = predict(example["columns"])
    for name, expected in example["outputs"].items():
        difference = np.nanmax(np.abs(outputs[name] - np.asarray(expected, float)), initial=0)
        print(f"{{name}}: {{len(expected)}} rows, the largest difference is {{difference:.1e}}")
'''.encode()


def preprocess_programs() -> dict[str, bytes]:
    """Return preprocess.py, and dates.py, of which it takes the calendar."""
    text = Path(preprocess.__file__).read_text("utf-8").replace("from dltool.data.dates import", "from dates import")
    return {"preprocess.py": text.encode(), "dates.py": Path(dates.__file__).read_bytes()}
