"""Checking a config without training."""

import io
import json
import re

import pytest
from rich.console import Console
from tests.bad_configs import GOOD, IMAGES

from dltool.commands.check import CheckOutcome, PlanRow
from dltool.console.results import layer_table
from dltool.experiment.plan import Memory, Plan


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.yaml").write_text(GOOD.replace("units: 3", "units: $classes"), encoding="utf-8")
    (tmp_path / "images.yaml").write_text(IMAGES, encoding="utf-8")


def test_a_good_config_is_said_to_be_good(dltool, golden) -> None:
    outcome = dltool("check", "example.yaml")
    assert (outcome.code, outcome.stderr) == (0, "")
    golden("check/static", outcome.stdout)


def test_every_value_is_shown_with_its_origin(dltool, golden) -> None:
    golden("check/origins", dltool("check", "example.yaml", "--origins", "--set", "training.epochs=1").stdout)


def test_the_plan_is_shown_with_shapes_and_parameters(dltool, golden) -> None:
    shown = dltool("check", "images.yaml", "--build").stdout
    golden("check/build", re.sub(r"epoch: .* without validation, at .* ms", "epoch: … without validation, at …", shown))


def test_json_holds_config_origins_data_and_layers(dltool) -> None:
    found = json.loads(dltool("check", "images.yaml", "--build", "--data", "--json").stdout)
    assert found["ok"]
    assert found["data"]["classes"] == 10
    assert found["data"]["input_shape"] == [8, 8, 1]
    assert found["origins"]["training.epochs"] == f"images.yaml:7:{IMAGES.splitlines()[6].index('epochs: 1') + 9}"
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"]) == 40 + 144 * 10 + 10
    assert [layer["output_shape"] for layer in found["layers"]] == [[6, 6, 4], [144], [10]]
    assert [layer["line"] for layer in found["layers"]] == ["images.yaml:4", "images.yaml:5", "images.yaml:6"]
    flops = [layer["flops"] for layer in found["layers"]]
    assert flops[:2] == [6 * 6 * 4 * (2 * 9 + 1), 0]
    assert found["flops"] == sum(flops)
    assert found["memory_bytes"] == sum(found["memory"].values())
    # Adam keeps two numbers for each weight, and the learning rate and the number of steps.
    assert found["memory"]["optimizer"] == 2 * found["memory"]["weights"] + 4 + 8
    assert found["seconds_per_epoch"] == found["seconds_per_step"] * found["steps_per_epoch"] > 0


def test_without_build_json_says_null_for_what_a_model_would_tell(dltool) -> None:
    found = json.loads(dltool("check", "images.yaml", "--json").stdout)
    assert found["steps_per_epoch"] == 45
    assert [found[key] for key in ("parameters", "flops", "memory_bytes", "memory", "seconds_per_epoch")] == [None] * 5
    assert found["layers"] == []


def test_json_lists_the_problems_of_a_bad_config(dltool) -> None:
    outcome = dltool("check", "example.yaml", "--json", "--set", "training.epochs=ten")
    assert outcome.code == 2
    assert json.loads(outcome.stdout)["problems"] == [
        {
            "file": "--set training.epochs=ten",
            "line": 1,
            "column": 17,
            "path": "training.epochs",
            "message": 'expected an integer, got the string "ten"',
            "hint": None,
        }
    ]


def test_without_the_data_a_config_for_own_arrays_is_checked_as_far_as_possible(dltool, tmp_path) -> None:
    text = GOOD.replace("source: iris", "source: {arrays: missing.npz}").replace("units: 3", "units: $classes")
    (tmp_path / "example.yaml").write_text(text, encoding="utf-8")
    assert dltool("check", "example.yaml").code == 0
    outcome = dltool("check", "example.yaml", "--data")
    assert outcome.code == 3
    assert "example.yaml:3:" in outcome.stderr


def test_json_says_null_for_what_the_data_has_yet_to_tell(dltool, tmp_path) -> None:
    text = GOOD.replace("source: iris", "source: {arrays: missing.npz}").replace("units: 3", "units: $classes")
    (tmp_path / "example.yaml").write_text(text, encoding="utf-8")
    found = json.loads(dltool("check", "example.yaml", "--json").stdout)
    assert found["config"]["model"]["layers"][1]["Dense"]["units"] is None


def test_nothing_is_written(dltool, tmp_path) -> None:
    dltool("check", "images.yaml", "--data", "--build")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["example.yaml", "images.yaml"]


def test_a_machine_with_too_little_memory_is_a_warning(dltool, monkeypatch) -> None:
    from dltool.commands import check
    from dltool.experiment import plan

    monkeypatch.setattr(check, "usable_memory", lambda: 100_000)
    monkeypatch.setattr(plan, "usable_memory", lambda: 100_000)
    outcome = dltool("check", "images.yaml", "--build")
    assert outcome.code == 0
    warning = "warning: training needs about 184 KB of memory; this machine has 100 KB\n"
    assert outcome.stderr == warning
    assert "45 steps an epoch\n" in outcome.stdout


def test_the_table_of_layers_fits_in_80_columns(tmp_path) -> None:
    path = tmp_path / "a-folder-with-quite-a-long-name-that-goes-on-and-on" / "images.yaml"
    layers = (
        PlanRow("GlobalAveragePooling3D", f"{path}:1234", (128, 128, 128, None), 1_234_567_890, None),
        PlanRow("Dense", "images.yaml:7", (10,), 10, 1_999_999),
    )
    memory = Memory(1, 2, None, 3, 4)
    outcome = CheckOutcome(
        *("images.yaml", {}, [], None, None, (), False, None, False),
        layers=layers,
        plan=Plan(1_234_567_900, None, memory, None),
    )
    screen = io.StringIO()
    Console(file=screen, width=80, no_color=True).print(layer_table(outcome))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in screen.getvalue()
    assert [line.split()[-1] for line in (lines[0], *lines[-2:])] == ["FLOPs", "M", "M"]
    assert "1,234,567,890" in screen.getvalue()
    assert "≥ 2.00 M" in lines[-1]
