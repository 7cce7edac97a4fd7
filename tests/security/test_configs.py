"""A run whose resolved.yaml somebody else wrote."""

import os
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from tests.security.conftest import new_files

COMMANDS = ("evaluate", "resume", "predict", "report")


def above(text: str) -> Callable[[str], str]:
    return lambda old: f"{text}\n{old}"


def layer(text: str) -> Callable[[str], str]:
    return lambda old: old.replace("  layers:\n", f"  layers:\n  - {text}\n")


CONFIGS = {
    "extends another file": above("extends: OUTSIDE/base.yaml"),
    "variables": above("vars: {a: 1}"),
    "environment": lambda old: old.replace("name: example", "name: $(env.HOME)"),
    "expression": lambda old: old.replace("epochs: 2", "epochs: $(1 + 1)"),
    "path as name": lambda old: old.replace("name: example", "name: ../../x"),
    "Lambda": layer("Lambda: {function: print}"),
    "TFSMLayer": layer("TFSMLayer: {filepath: OUTSIDE/folder}"),
    "unlisted class": layer("os.system: {command: touch OUTSIDE/x}"),
    "Python tag": layer("!!python/object/apply:os.system [echo]"),
    "too many parameters": lambda old: old.replace("units: 8", "units: 1000000000000"),
    "lookup in a file": layer("StringLookup: {vocabulary: OUTSIDE/canary.txt}"),
    "nested lookup in a file": layer("TimeDistributed: {layer: {StringLookup: {vocabulary: OUTSIDE/canary.txt}}}"),
    "alias bomb": above(
        "x-a: &a [0,0,0,0,0,0,0,0,0,0]\n"
        + "\n".join(f"x-{n}: &{n} [{', '.join(['*' + p] * 10)}]" for p, n in zip("abcdefgh", "bcdefghi", strict=True))
    ),
    "too deep": above("x-a: " + "[" * 3000 + "]" * 3000),
    "too large": above("#" * 2_000_000),
    "list": lambda _: "- 1\n",
    "empty": lambda _: "",
    "no UTF-8": lambda old: old + "x-\udcff: 1\n",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_hostile_config_is_refused(name, command, attack, refused) -> None:
    (attack.outside / "base.yaml").write_text("seed: 1\n")
    file = attack.run / "resolved.yaml"
    text = CONFIGS[name](file.read_text("utf-8")).replace("OUTSIDE", str(attack.outside))
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    attack.record(resolved=text.encode("utf-8", "replace").decode())
    assert "resolved.yaml" in refused(command)


@pytest.mark.parametrize("callback", ["CSVLogger: {filename: OUTSIDE/x.csv}", "TensorBoard: {log_dir: OUTSIDE/logs}"])
def test_a_run_cannot_say_where_resuming_writes(callback, attack, refused) -> None:
    callback = callback.replace("OUTSIDE", str(attack.outside))
    attack.config(lambda old: old.replace("  callbacks:\n", f"  callbacks:\n  - {callback}\n"))
    assert "names something outside the run" in refused("resume")


def test_a_run_cannot_say_whom_resuming_talks_to(attack, refused) -> None:
    attack.config(lambda old: old.replace("  callbacks:\n", "  callbacks:\n  - RemoteMonitor\n"))
    assert "names something outside the run" in refused("resume")


def test_writing_callbacks_do_not_keep_a_run_from_being_evaluated(attack, dltool) -> None:
    attack.config(lambda old: old.replace("  callbacks:\n", f"  callbacks:\n  - CSVLogger: {attack.outside}/x.csv\n"))
    assert dltool("evaluate", attack.run).code == 0
    assert not (attack.outside / "x.csv").exists()


def test_a_vocabulary_from_a_file_is_the_run_s_own_afterwards(tmp_path) -> None:
    import keras

    from dltool.config.keras.objects import KerasObject
    from dltool.model.apply import Names, Placed
    from dltool.model.preprocessing import LayerState, build_preprocessing, learns

    entry = KerasObject("layer", "StringLookup", {"vocabulary": str(tmp_path / "gone.txt")})
    source = Placed(keras.Input((1,), dtype="string"), ("data", "source"))
    state = {"0-StringLookup": LayerState({}, ["[UNK]", "a", "b"])}
    assert learns(entry)
    (applied,) = build_preprocessing([entry], source, Names(), None, state)
    assert applied.layer.get_vocabulary() == ["[UNK]", "a", "b"]


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("kind", ["pickle", "folder", "fifo", "device", "missing"])
def test_hostile_data_is_exit_code_3(kind, attack, refused, monkeypatch) -> None:
    monkeypatch.chdir(attack.outside)
    path = attack.outside / "own.npz"
    if kind == "pickle":
        np.savez(path, x=np.array([Evil()], dtype=object), y=np.zeros(1))
        with open(attack.outside / "own.pickle", "wb") as file:
            pickle.dump(Evil(), file)
    elif kind == "folder":
        path = attack.outside / "folder"
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = "/dev/zero"
    attack.config(lambda old: old.replace(old.split("path: ")[1].split("\n")[0], str(path)))
    refused("evaluate", code=3)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_model_file_is_never_read(command, attack, trained, dltool) -> None:
    (attack.run / "model.keras").write_bytes(pickle.dumps(Evil()))
    assert dltool(command, attack.run, *new_files(command, trained)).code == 0
    assert not os.path.exists("executed")
