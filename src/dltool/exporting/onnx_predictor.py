"""The verified ONNX export of a run as its predictor. Imports no TensorFlow."""

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from dltool.config.keras.objects import keras_objects_in
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.data.facts import Facts
from dltool.errors import MachineError, RunError
from dltool.evaluation.model_interface import ModelInterface
from dltool.evaluation.thresholds import recorded_decision
from dltool.experiment.refusals import refuse_other_preprocessing
from dltool.exporting.export_options import EXACT, Engine
from dltool.exporting.foreseen import CHECK, FILES, forecasts
from dltool.exporting.kept_exports import CheckRecord
from dltool.exporting.preprocess import preprocessed
from dltool.installation import install_extra
from dltool.model.column_states import LARGEST_FILE, load_columns
from dltool.runs.files import Run
from dltool.runs.recorded import weights_digest
from dltool.runs.records import read, read_record, recorded_threads

FORMAT = "onnx"
SIGNATURE, PREPROCESSING = "signature.json", "preprocess.json"
LARGEST_MODEL = 2**31
BATCH = 256
"""Rows computed at once, as in the check."""


class OnnxPredictor(ModelInterface):
    """The best model of a run, computed by ONNX Runtime from the files of :func:`verified_export`."""

    engine = FORMAT

    def __init__(self, run: Run, config: Config, facts: Facts, files: Mapping[str, bytes]) -> None:
        import onnxruntime

        record = read_record(run)
        refuse_other_preprocessing(run, record, LARGEST_FILE)
        signature = json.loads(files[SIGNATURE])
        shapes = {each["output"]: tuple(each["shape"]) for each in signature["outputs"]}
        decided, _ = recorded_decision(run, config, facts)
        super().__init__(decided, facts, load_columns(run.preprocessing), shapes)
        self.inputs_of_file = signature["inputs"]
        self.names = {each["output"]: each["name"] for each in signature["outputs"]}
        self.preprocessing: dict[str, Any] = json.loads(files.get(PREPROCESSING, b"{}"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = recorded_threads(run, record) or 0
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(files[FILES[FORMAT]], options, ["CPUExecutionProvider"])

    def __call__(self, inputs: Mapping[str, Rows]) -> dict[str, np.ndarray]:
        found = []
        for first in range(0, len(next(iter(inputs.values()))), BATCH):
            batch = {name: rows[first : first + BATCH] for name, rows in inputs.items()}
            given = {each["name"]: self.as_in_file(each, batch[each["column"]]) for each in self.inputs_of_file}
            found.append(self.session.run([*self.names.values()], given))
        return {name: np.concatenate(parts) for name, parts in zip(self.names, zip(*found, strict=True), strict=True)}

    def as_in_file(self, entry: Mapping[str, Any], values: np.ndarray) -> np.ndarray:
        state = self.preprocessing.get(entry.get("preprocessing", ""))
        dtype = object if entry["dtype"] == "string" else entry["dtype"]
        return np.asarray(values if state is None else preprocessed(state, values), dtype)


def export_for(run: Run, config: Config, facts: Facts, engine: Engine) -> tuple[dict[str, bytes] | None, str]:
    """Return the files of the export with which the engine computes; None and the reason if TensorFlow does.

    Raises as :func:`verified_export`: the engine is "onnx"."""
    if engine == "tensorflow":
        return None, ""
    try:
        return verified_export(run, config, facts), ""
    except (RunError, MachineError) as error:
        if engine == "onnx":
            raise
        (problem, *_) = error.problems
        return None, problem.message + (f"; {problem.hint}" if problem.hint else "")


def verified_export(run: Run, config: Config, facts: Facts) -> dict[str, bytes]:
    """Return the files of the run's ONNX export by name, if it answers as the run's model does.

    Raises RunError: it does not, or cannot be proved to; MachineError: ONNX Runtime is missing."""
    folder, again = run.exports / FORMAT, f"dltool export {run.path} onnx"
    if not folder.is_dir():
        (forecast,) = (each for each in forecasts(config, facts) if each.format == FORMAT)
        raise RunError(f"{run.path} has no ONNX export", forecast.why or again)
    record = read(run, folder / CHECK, CheckRecord)
    if record.weights is None:
        raise RunError(f"{folder} does not say with which weights it was verified", again)
    if record.weights != weights_digest(run, config):
        raise RunError(f"{folder} was verified with other weights than the run has now", again)
    precision = config.training.precision
    if record.compared_with != precision:
        raise RunError(f"{folder} computes with {record.compared_with}, and the model of the run with {precision}")
    if record.tolerance is None or record.tolerance > EXACT:
        raise RunError(f"{folder} was verified with a tolerance above {EXACT:g} only", again)
    if any(head.target is None for head in heads_of(config)):
        raise RunError(f"{run.path}: the answer of an autoencoder is its error, which the export does not compute")
    layers = {entry.name for _, entry in keras_objects_in((config.model.layers,), ())}
    if "Embedding" in layers and any(each.dtype != "string" for each in facts.inputs.values()):
        raise RunError(f"{run.path}: an Embedding refuses negative indices, and that of ONNX takes them")
    if importlib.util.find_spec("onnxruntime") is None:
        raise MachineError("onnxruntime is not installed", install_extra(FORMAT))
    names = [name for name in (FILES[FORMAT], SIGNATURE, PREPROCESSING) if name in record.sha256]
    files = {name: run.read(folder / name, LARGEST_MODEL) for name in names}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != record.sha256[name]:
            raise RunError(f"{folder / name} is not the file that was verified", again)
    if {FILES[FORMAT], SIGNATURE} - files.keys():
        raise RunError(f"{folder / CHECK} is damaged: it lacks digests of files", again)
    return files
