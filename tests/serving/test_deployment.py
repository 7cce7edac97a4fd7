"""What the repository has to deploy a server: the Dockerfile, compose.yaml and the guide."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.pages import blocks
from tests.serving.test_process import server

from dltool.serving.limits import Limits

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "deployment.md"
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text("utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def service() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["model"]


def health_check() -> list[str]:
    (rest,) = [rest for name, rest in instructions() if name == "HEALTHCHECK"]
    return json.loads(rest.partition("CMD ")[2])


def test_the_dockerfile_is_one_that_docker_reads() -> None:
    found = instructions()

    assert {name for name, _ in found} <= KNOWN
    assert [name for name, _ in found if name in ("FROM", "ENTRYPOINT", "CMD", "HEALTHCHECK")] == [
        *("FROM", "HEALTHCHECK", "ENTRYPOINT", "CMD")
    ]
    assert all(isinstance(json.loads(rest), list) for name, rest in found if name in ("ENTRYPOINT", "CMD"))
    assert health_check()[0] == "python"


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    copied = [word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1]]
    sent = (ROOT / ".dockerignore").read_text("utf-8").splitlines()

    assert all((ROOT / each).exists() and f"!{each}" in sent for each in copied)
    assert sent[0] == "*"


def test_what_is_copied_is_all_that_the_package_is_built_from(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    for words in (rest.split() for name, rest in instructions() if name == "COPY"):
        for each in words[:-1]:
            (tmp_path / each).symlink_to(ROOT / each, target_is_directory=(ROOT / each).is_dir())

    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheel")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    (wheel,) = (tmp_path / "wheel").iterdir()
    with zipfile.ZipFile(wheel) as file:
        assert {"dltool/cli.py", "dltool/templates/digits.yaml"} <= {*file.namelist()}


def test_the_container_has_no_rights_and_a_fixed_version_of_python() -> None:
    values = dict(instructions())

    assert values["USER"] not in ("root", "0", "0:0")
    assert re.fullmatch(r"python:3\.1[123]-slim", values["FROM"])
    found = service()
    assert found["read_only"]
    assert found["cap_drop"] == ["ALL"]
    assert all(each.endswith(":ro") for each in found["volumes"])
    assert all(each.startswith("127.0.0.1:") for each in found["ports"])


def test_the_container_may_take_as_long_to_end_as_a_request() -> None:
    assert int(service()["stop_grace_period"].removesuffix("s")) > Limits().seconds


def test_the_manifest_of_the_guide_serves_at_its_own_port() -> None:
    (block,) = [each for each in blocks(GUIDE) if each.language == "yaml"]
    (container,) = yaml.safe_load(block.text)["spec"]["predictor"]["containers"]

    port = int(container["args"][container["args"].index("--port") + 1])
    probes = (container["readinessProbe"], container["livenessProbe"])
    assert {port} == {container["ports"][0]["containerPort"], *(probe["httpGet"]["port"] for probe in probes)}


@pytest.mark.slow
def test_the_command_of_the_container_serves_and_its_health_check_holds(table_run: Path, tmp_path: Path) -> None:
    (tmp_path / "serve.key").write_text("a-key-of-a-container")
    places = {"/runs/${RUN:-digits}": str(table_run.parent), "/run/secrets": str(tmp_path)}
    command = service()["command"][1:]
    for name, place in places.items():
        command = [each.replace(name, place) for each in command]
    command = [each for each in command if not each.startswith("--port")]
    with server(*command) as (_, port):
        check = [each.replace("8000", str(port)) for each in health_check()]
        assert subprocess.run([sys.executable, *check[1:]], check=False).returncode == 0
        headers = {"Authorization": "Bearer a-key-of-a-container"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/models", headers=headers)
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["models"][0]["name"] == "flowers"
    assert subprocess.run([sys.executable, *check[1:]], check=False, stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.slow
def test_the_program_for_browsers_gives_what_the_export_promises(dltool, table_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    if not shutil.which("node") or subprocess.run(["node", "-e", "require.resolve('onnxruntime-web')"]).returncode:
        pytest.skip("needs Node.js and the package onnxruntime-web, found by NODE_PATH")
    (program,) = [each.text for each in blocks(GUIDE) if each.title == "predict.js"]
    (tmp_path / "predict.js").write_text(program)
    assert dltool("export", table_run, "onnx", "--out", tmp_path).code == 0
    (tmp_path / "run.js").write_text(
        """\
const [signature, example] = ["signature", "example"].map((name) => require(`./onnx/${name}.json`));
const types = Object.fromEntries(signature.inputs.map((each) => [each.name, each.dtype]));
const columns = Object.fromEntries(signature.inputs.map((each) => [each.name, example.columns[each.column]]));
const model = require("fs").readFileSync("onnx/model.onnx");
require("./predict.js").predict(model, columns, types).then((found) => console.log(JSON.stringify(found)));
"""
    )
    done = subprocess.run(["node", "run.js"], cwd=tmp_path, capture_output=True, text=True, env=os.environ, check=False)
    expected = json.loads((tmp_path / "onnx" / "example.json").read_text("utf-8"))["outputs"]["output"]
    assert json.loads(done.stdout) == pytest.approx([value for row in expected for value in row], abs=1e-6), done.stderr
