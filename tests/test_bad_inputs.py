"""What a bad config gets: exit code 2, one block on stderr, positions, no traceback, nothing written."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bad_configs import BUILT, GOOD, KEYS_AND_TYPES, RANGE, YAML, YAML_BYTES
from tests.bad_graphs import GOOD as GRAPHS
from tests.bad_graphs import NAMES, SHAPES

Golden = Callable[[str, str], None]


def check_message(name: str, outcome, golden: Golden, *, code: int = 2) -> None:
    assert outcome.code == code
    assert "Traceback" not in outcome.stderr
    assert "example.yaml:" in outcome.stderr or "--set" in outcome.stderr
    assert outcome.stdout == ""
    golden(name, outcome.stderr)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [*YAML, *YAML_BYTES])
def test_unreadable_yaml_is_reported_with_its_position(name, dltool, golden, folder) -> None:
    (folder / "example.yaml").write_bytes(YAML_BYTES[name] if name in YAML_BYTES else YAML[name].encode())
    started = time.monotonic()
    check_message(f"bad-inputs/yaml/{name}", dltool("train", "example.yaml"), golden)
    assert time.monotonic() - started < 5
    assert os.listdir(folder) == ["example.yaml"]


@pytest.mark.parametrize("name", KEYS_AND_TYPES)
def test_a_wrong_key_or_type_is_reported_with_its_position(name, dltool, golden, folder) -> None:
    (folder / "example.yaml").write_text(KEYS_AND_TYPES[name], encoding="utf-8")
    check_message(f"bad-inputs/keys-and-types/{name}", dltool("train", "example.yaml"), golden)
    assert os.listdir(folder) == ["example.yaml"]


@pytest.mark.parametrize("name", RANGE)
def test_a_value_out_of_range_is_reported_with_its_position(name, dltool, golden, folder) -> None:
    (folder / "example.yaml").write_text(RANGE[name], encoding="utf-8")
    check_message(f"bad-inputs/range/{name}", dltool("train", "example.yaml"), golden)
    assert os.listdir(folder) == ["example.yaml"]


@pytest.mark.parametrize("name", BUILT)
def test_a_model_that_does_not_fit_is_reported_at_its_layer(name, dltool, golden, folder) -> None:
    (folder / "example.yaml").write_text(BUILT[name], encoding="utf-8")
    check_message(f"bad-inputs/shapes/{name}", dltool("train", "example.yaml"), golden)
    assert os.listdir(folder) == ["example.yaml"]


def test_the_config_that_the_bad_ones_vary_is_good(dltool, folder) -> None:
    (folder / "example.yaml").write_text(GOOD, encoding="utf-8")
    assert dltool("check", "example.yaml").code == 0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + GOOD, id="byte order mark"),
        pytest.param(GOOD.replace("epochs: 2", "epochs: 2\nx-mine: [no, yes]"), id="no and yes are text"),
        pytest.param(GOOD.replace("\n", "\r\n"), id="Windows line ends"),
        pytest.param(GOOD.replace("1e-3", "1E-3"), id="exponent"),
    ],
)
def test_unusual_but_right_yaml_is_accepted(text, dltool, folder) -> None:
    (folder / "example.yaml").write_bytes(text.encode())
    assert dltool("check", "example.yaml").code == 0


@pytest.mark.parametrize("kind", ["directory", "fifo", "endless", "missing"])
def test_what_is_not_a_file_is_not_read(kind, dltool, golden, folder) -> None:
    path: Path | str = "example.yaml"
    if kind == "directory":
        (folder / "example.yaml").mkdir()
    elif kind == "fifo":
        os.mkfifo(folder / "example.yaml")
    elif kind == "endless":
        path = "/dev/zero"
    else:
        (folder / "examples.yaml").write_text(GOOD, encoding="utf-8")
    outcome = dltool("check", path)
    assert outcome.code == 2
    golden(f"bad-inputs/yaml/{kind}", outcome.stderr)


# The peak of this process's own memory; that of wait4 counts the process that it was forked from.
MEASURED = """
import resource
from dltool.cli import main
try:
    main()
except SystemExit as stop:
    status = open("/proc/self/status").read().split()
    print(stop.code, status[status.index("VmHWM:") + 1], sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", [name for name in YAML if "bomb" in name])
def test_a_bomb_takes_less_than_a_second_and_100_megabytes(name, folder) -> None:
    (folder / "example.yaml").write_text(YAML[name], encoding="utf-8")
    command = [sys.executable, "-c", MEASURED, "check", "example.yaml"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    code, kibibytes, seconds = outcome.stdout.split()
    assert code == "2"
    assert int(kibibytes) < 100 * 1024
    assert float(seconds) < 1.5, "a second, and what other processes add"


SETTINGS = {
    "another-base": "extends=foo.yaml",
    "unknown-key": "trainin.epochs=1",
    "unknown-key-below": "training.epoch=1",
    "wrong-type": "training.epochs=ten",
    "wrong-argument": "model.layers[0].Dense.unitz=4",
    "no-such-item": "model.layers[7].Dense.units=4",
    "not-a-list": "training[0]=1",
    "no-equals-sign": "training.epochs",
    "empty-key": "=1",
    "two-dots": "training..epochs=1",
    "bad-yaml": "training.metrics=[accuracy",
    "second-document": "name=a\n---\nb",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_bad_setting_is_cited(name, dltool, golden, folder) -> None:
    (folder / "example.yaml").write_text(GOOD, encoding="utf-8")
    check_message(f"bad-inputs/command-line/{name}", dltool("check", "example.yaml", "--set", SETTINGS[name]), golden)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("name-outside", ["--name", "../x"]),
        ("name-with-a-dollar", ["--name", "$(1 / 0)"]),
        ("seed-negative", ["--seed", "-1"]),
    ],
)
def test_a_bad_name_or_seed_is_cited(name, arguments, dltool, golden, folder) -> None:
    (folder / "example.yaml").write_text(GOOD, encoding="utf-8")
    outcome = dltool("train", "example.yaml", *arguments)
    assert (outcome.code, outcome.stdout) == (2, "")
    golden(f"bad-inputs/command-line/{name}", outcome.stderr)
    assert os.listdir(folder) == ["example.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
def test_the_graphs_that_the_bad_ones_vary_are_good(name, dltool, folder) -> None:
    (folder / "example.yaml").write_text(GRAPHS[name], encoding="utf-8")
    assert dltool("check", "--build", "example.yaml").code == 0


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_do_not_meet_are_reported_where_they_meet(name, dltool, golden, folder) -> None:
    (folder / "example.yaml").write_text(SHAPES[name], encoding="utf-8")
    check_message(f"bad-inputs/graphs/{name}", dltool("check", "--build", "example.yaml"), golden)


@pytest.mark.parametrize("name", NAMES)
def test_names_and_parameters_that_do_not_fit_are_reported_at_their_place(name, dltool, golden, folder) -> None:
    (folder / "example.yaml").write_text(NAMES[name], encoding="utf-8")
    settings = (
        "--set",
        "model.blocks.residual.parameters.filters=-4",
        "--set",
        "model.layers[1].repeat.layers=[residual]",
    )
    outcome = dltool("check", "--build", "example.yaml", *(settings if name == "range-by-set" else ()))
    check_message(f"bad-inputs/graphs/{name}", outcome, golden)
