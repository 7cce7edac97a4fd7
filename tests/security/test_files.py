"""A run whose weights, arrays, checkpoints or records somebody else wrote."""

import io
import json
import math
import os
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.security.conftest import with_epochs

from dltool.errors import RunError
from dltool.model.preprocessing import load_preprocessing
from dltool.model.weights_file import CHECKSUM
from dltool.runs.checkpoint_file import MAGIC


def virtual(file: h5py.File, outside: Path) -> None:
    layout = h5py.VirtualLayout((4,), "float32")
    layout[:] = h5py.VirtualSource(str(outside / "other.h5"), "kernel", (4,))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def looped(file: h5py.File, _: Path) -> None:
    file.create_group("layers")["again"] = file["/"]


def linked_twice(file: h5py.File, _: Path) -> None:
    file["a"] = np.zeros(10, "float32")
    file["b"] = file["a"]


def not_written(file: h5py.File, _: Path) -> None:
    file.create_dataset("layers/dense/vars/0", shape=(10**6, 10**6), dtype="float32")


WEIGHTS: dict[str, Callable[[h5py.File, Path], object]] = {
    "external link": lambda file, outside: file.__setitem__(
        "layers", h5py.ExternalLink(str(outside / "other.h5"), "/layers")
    ),
    "soft link": lambda file, _: file.__setitem__("layers", h5py.SoftLink("/elsewhere")),
    "virtual dataset": virtual,
    "external storage": lambda file, outside: file.create_dataset(
        "layers/dense/vars/0", (9,), "uint8", external=[(str(outside / "canary.txt"), 0, 9)]
    ),
    "compressed bomb": lambda file, _: file.create_dataset(
        "layers/dense/vars/0", (10**6, 10**6), "float32", chunks=(1000, 1000), compression="gzip"
    ),
    "declared giant": not_written,
    "loop": looped,
    "the same array twice": linked_twice,
    "objects": lambda file, _: file.create_dataset("layers/dense/vars/0", data=["a"], dtype=h5py.string_dtype()),
    "records": lambda file, _: file.create_dataset("layers/dense/vars/0", data=np.zeros(2, [("a", "f4")])),
    "a type": lambda file, _: file.__setitem__("layers", np.dtype("float32")),
    "nothing": lambda file, _: None,
}


@pytest.mark.parametrize("command", [pytest.param("evaluate", marks=pytest.mark.slow), "predict"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_hostile_weights_are_refused(name, command, attack, refused) -> None:
    with h5py.File(attack.outside / "other.h5", "w") as other:
        other["kernel"] = np.zeros(4, "float32")
        other["layers/dense/vars/0"] = np.zeros((4, 8), "float32")
    with h5py.File(attack.run / "checkpoints/best.weights.h5", "w") as file:
        WEIGHTS[name](file, attack.outside)
        file.attrs[CHECKSUM] = "sha256:" + "0" * 64
    message = refused(command)
    assert "best.weights.h5" in message
    # What the array itself gives away is found before it is read for its checksum.
    assert ("checksum" in message) == (name == "nothing")


@pytest.mark.parametrize("command", ["evaluate", pytest.param("predict", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_weights_whose_reading_never_ends_are_refused(command, attack, refused) -> None:
    """An object of the heap of texts that is as large as to end where it begins (HDF5 file format, III.E)."""
    file = attack.run / "checkpoints/best.weights.h5"
    content = bytearray(file.read_bytes())
    start = content.index(b"GCOL") + 16
    content[start + 8 : start + 16] = struct.pack("<q", -16)
    file.write_bytes(content)
    assert "best.weights.h5 is damaged: HDF5 cannot read it" in refused(command)


def npz(compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(shape: tuple[int, ...], descr: str = "<f4", content: bytes = b"") -> bytes:
    header = str({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


ARRAYS = {
    "pickle": npz(mean=pickled()),
    "declared giant": npz(mean=npy((10**12,))),
    "giant text": npz(mean=npy((1,), "<U1000000000")),
    "negative": npz(mean=npy((-4,))),
    "overflow": npz(mean=npy((2**40, 2**40, 0, 2**40))),
    "compressed bomb": npz(zipfile.ZIP_DEFLATED, mean=npy((2**20,), content=bytes(2**22))),
    "one array only": npz(mean=npy((4,), content=bytes(16))),
    "other shapes": npz(
        zipfile.ZIP_STORED, **{name: npy((9,), content=bytes(36)) for name in ("mean", "variance", "count")}
    ),
    "giant outside an archive": npy((10**12,)) + npz(mean=npy((4,), content=bytes(16))),
    "no array": npz(mean=b"import os"),
    "truncated": npz(mean=npy((4,), content=bytes(16)))[:100],
}


@pytest.mark.parametrize("command", ["evaluate", "resume", "predict"])
@pytest.mark.parametrize("name", ARRAYS)
def test_hostile_arrays_of_the_preprocessing_are_refused(name, command, attack, refused) -> None:
    attack.fitted("0-Normalization/arrays.npz", ARRAYS[name])
    message = refused(command)
    assert "preprocessing" in message
    assert "fitted" not in message


@pytest.mark.parametrize("name", ["..", "0-..", "0-Normalization.", "٣-Normalization", "x"])
def test_other_folders_of_the_preprocessing_are_refused(name, attack, refused) -> None:
    os.makedirs(attack.run / "preprocessing" / f"{name}x")
    assert "preprocessing" in refused("evaluate")


@pytest.mark.parametrize(
    "line", ["{", "{}", "[1]", "null", "true", "1.5", "1" * 5000, "1" * 30, "[" * 100_000, '"\\ud800']
)
def test_a_vocabulary_is_texts_and_whole_numbers(line, tmp_path) -> None:
    (tmp_path / "0-StringLookup").mkdir()
    (tmp_path / "0-StringLookup/vocabulary.txt").write_text(f'"a"\n{line}\n', "utf-8")
    with pytest.raises(RunError, match="0-StringLookup is damaged"):
        load_preprocessing(tmp_path)


# --- checkpoints ---


def callback(state: dict[str, Any]) -> Any:
    (note,) = state["callbacks"]
    return note


STATES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no position": lambda state: state.pop("position"),
    "position is a list": lambda state: state.update(position=[1]),
    "epoch is a float": lambda state: state["position"].update(epoch=2.0),
    "epoch is a giant": lambda state: state["position"].update(epoch=10**30),
    "epoch without history": lambda state: state["position"].update(epoch=1),
    "step is negative": lambda state: state["position"].update(step=-1),
    "stop is a text": lambda state: state["position"].update(stop="no"),
    "stopped before it began": lambda state: state["position"].update(epoch=0, history=[], stop=True),
    "further field": lambda state: state["position"].update(__class__=1),
    "history is null": lambda state: state["position"].update(history=None),
    "history of texts": lambda state: state["position"].update(history=["a", "b"]),
    "logs are a list": lambda state: state["position"]["history"][0].update(logs=[1]),
    "a log is a text": lambda state: state["position"]["history"][0]["logs"].update(loss="x"),
    "no best": lambda state: state.pop("best"),
    "best of another kind": lambda state: state["best"].update(direction="up"),
    "variables are a number": lambda state: state.update(variables=7),
    "fewer variables": lambda state: state["variables"].pop(),
    "callbacks are a mapping": lambda state: state.update(callbacks={}),
    "other callback": lambda state: callback(state).update({"class": "LambdaCallback"}),
    "new attribute": lambda state: callback(state)["plain"].update(command="touch x"),
    "method": lambda state: callback(state)["plain"].update(on_epoch_end="x"),
    "class of the callback": lambda state: callback(state)["plain"].update(__class__="x"),
    "its model": lambda state: callback(state)["plain"].update(_model=None, model="x"),
    "text for a number": lambda state: callback(state)["plain"].update(patience="x"),
    "null for a number": lambda state: callback(state)["plain"].update(wait=None),
    "list for a number": lambda state: callback(state)["plain"].update(wait=[1]),
    "another text": lambda state: callback(state)["plain"].update(monitor="loss"),
    "number for true": lambda state: callback(state)["plain"].update(restore_best_weights=3),
    "giant number": lambda state: callback(state)["plain"].update(wait=10**400),
    "any number of arrays": lambda state: callback(state)["arrays"].update(best_weights=10**12),
    "arrays in another place": lambda state: callback(state)["arrays"].update(
        wait=callback(state)["arrays"].pop("best_weights")
    ),
    "fewer arrays": lambda state: callback(state)["arrays"].update(best_weights=1),
}


@pytest.mark.parametrize("name", STATES)
def test_a_hostile_state_is_refused(name, attack, refused) -> None:
    attack.state(STATES[name])
    assert re.search("is damaged: invalid|the saved state|^error: the config's model", refused("resume"))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(MAGIC + (2**62).to_bytes(8, "little"), id="giant header"),
        pytest.param(
            MAGIC
            + len(
                header := json.dumps(
                    {
                        "format": 1,
                        "step": 1,
                        "state": {},
                        "arrays": [{"name": "a", "shape": [10**6, 10**6], "dtype": "float32"}],
                    }
                ).encode()
            ).to_bytes(8, "little")
            + header
            + bytes(32),
            id="giant array",
        ),
        pytest.param(MAGIC + (10**5).to_bytes(8, "little") + b"[" * 10**5 + bytes(32), id="deep header"),
    ],
)
def test_a_hostile_checkpoint_file_is_refused(content, attack, refused) -> None:
    for file in (attack.run / "checkpoints").glob("*.ckpt"):
        file.write_bytes(content)
    assert "checkpoint" in refused("resume")


# --- records ---

RECORDS: dict[str, dict[str, Any]] = {
    "no data": {"data": None},
    "data is a list": {"data": ["sha256:"]},
    "fingerprint is a number": {"data": {"fingerprint": 10**400}},
    "another fingerprint": {"data": {"fingerprint": "sha256:" + "0" * 100_000}},
    "rows are negative": {"most_rows": -1},
    "rows are a float": {"most_rows": 1.5},
    "rows are true": {"most_rows": True},
    "rows are nested": {"most_rows": {"a": [1]}},
    "threads are a text": {"pinned": {"intra_op_threads": "2"}},
    "threads are any number": {"pinned": {"intra_op_threads": 10**9}},
    "other resolved config": {"resolved": "[" * 1000},
    "preprocessing is a list": {"preprocessing": ["0-Normalization/arrays.npz"]},
    "preprocessing is nested": {
        "preprocessing": {"0-Normalization": {"arrays.npz": 1}, "/etc/passwd": None, "x" * 10**6: 1}
    },
    "format is a text": {"format": "1"},
    "format is a float": {"format": 1.0},
}


@pytest.mark.parametrize("command", ["evaluate", "resume"])
@pytest.mark.parametrize("name", RECORDS)
def test_a_hostile_record_is_refused(name, command, attack, refused) -> None:
    attack.record(**RECORDS[name])
    is_data = "data" in RECORDS[name]
    refused(command, code=3 if is_data else 4)


@pytest.mark.parametrize("target", ["category", "number"])
@pytest.mark.parametrize("shape", [[10**9], [2**31 - 1] * 8, [0, 2**31 - 1], [10**4, 10**4, 0, 10**4], [2, 10**7]])
def test_a_giant_target_in_the_record_is_refused(shape, target, attack, refused) -> None:
    data = json.loads((attack.run / "run.json").read_text("utf-8"))["data"]
    ((name, found),) = data["targets"].items()
    names = found["class_names"] if target == "category" else []
    attack.record(data={**data, "targets": {name: {"kind": target, "shape": shape, "class_names": names}}})
    is_small = math.prod(max(1, size) for size in shape) <= 10**8
    # Masks are not predicted at all.
    refused("predict", code=2 if is_small and target == "category" else 4)


@pytest.mark.parametrize(
    "value", [None, [], [{}], 1, 1.5, "x", {"versions": [1]}, {"cpu": {"a": {}}}, {"cpu": "x" * 10**6}]
)
def test_a_hostile_machine_in_the_record_is_only_another_machine(value, attack, refused) -> None:
    attack.record(machine=value, pinned=value if isinstance(value, list | str) else {}, resumed=value)
    assert "--allow-change" in refused("resume", code=5)


def test_a_hostile_list_of_resumes_is_dropped(attack, dltool) -> None:
    attack.record(resumed={"a": 1})
    assert dltool("resume", attack.run).code == 0


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "1", '{"format": ' + "1" * 5000 + "}", '{"format": 1e999}', "{", "\x00"]
)
def test_a_record_that_is_none_is_refused(text, attack, refused) -> None:
    (attack.run / "run.json").write_text(text)
    assert "run.json" in refused("evaluate")


def test_a_giant_record_is_refused(attack, refused) -> None:
    (attack.run / "run.json").write_text(" " * (17 * 2**20) + "{}")
    assert "larger than" in refused("evaluate")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"epoch": "' + "x" * 2**21 + '"}\n', id="long line"),
        pytest.param("[" * 2**19 + "\n", id="deep line"),
        pytest.param("{}\n" * (23 * 2**20), id="many lines"),
        pytest.param("7\n", id="number"),
    ],
)
def test_hostile_metrics_make_a_run_broken_in_the_list(text, attack, dltool) -> None:
    (attack.run / "metrics.jsonl").write_text(text)
    outcome = dltool("runs", "--runs", attack.run.parents[1])
    assert outcome.code == 0
    assert "broken" in outcome.stdout
    assert len(outcome.stdout) < 2000


@pytest.mark.parametrize("value", [10**400, "x", None, [1], True])
def test_hostile_results_do_not_end_the_list_of_runs(value, attack, dltool) -> None:
    results = {"best": {"value": value, "monitor": value}, "seconds": {"total": value}, "epochs": value}
    (attack.run / "results.json").write_text(json.dumps({**results, "test": {"loss": value}}))
    assert dltool("runs", "--runs", attack.run.parents[1]).code == 0


def test_a_run_with_another_number_of_epochs_in_both_records_is_only_longer(attack, dltool) -> None:
    attack.config(lambda old: with_epochs(old, 3))
    assert dltool("resume", attack.run).code == 0
