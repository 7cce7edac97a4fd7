"""The files of the guide for launchers: what can be known of them without Slurm, Kubernetes and Ray."""

import subprocess
from typing import Any

import pytest
import yaml
from tests.docs.pages import ROOT, blocks

from dltool.config.cluster import cluster_of

FILES = {block.title: block.text for block in blocks(ROOT / "docs/guides/launching.md") if block.title}


def described(name: str) -> Any:
    return yaml.safe_load(FILES[name])


@pytest.mark.parametrize("name", ["digits.sbatch", "everywhere.sh"])
def test_scripts_are_valid(name: str):
    subprocess.run(["bash", "-n"], input=FILES[name], text=True, check=True)


def test_ssh_gives_each_host_its_number(tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/bash\necho "$1: $2"\n', encoding="utf-8")
    ssh.chmod(0o700)
    done = subprocess.run(
        ["bash", "-s", "train", "x.yaml"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        input=FILES["everywhere.sh"],
        text=True,
        capture_output=True,
        check=True,
    )
    command = "cd /shared/digits && dltool train x.yaml --cluster a:2222,b:2222 --worker"
    assert sorted(done.stdout.splitlines()) == [f"a: {command} 0", f"b: {command} 1"]


def test_pods_have_the_names_that_their_command_says():
    job, service, network = map(described, ("job.yaml", "service.yaml", "network.yaml"))
    pod, name = job["spec"]["template"]["spec"], job["metadata"]["name"]
    (container,) = pod["containers"]
    (variable,) = container["env"]
    cluster = cluster_of(variable["value"], 1, {})
    assert cluster is not None
    assert cluster.size == job["spec"]["completions"] == job["spec"]["parallelism"]
    names = [f"{name}-{rank}.{service['metadata']['name']}:2222" for rank in range(cluster.size)]
    assert list(cluster.addresses) == names
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": name}
    (rule,) = network["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": network["spec"]["podSelector"]}]
    assert network["spec"]["podSelector"]["matchLabels"] == {"job-name": name}


def test_the_launcher_compiles():
    compile(FILES["launch.py"], "launch.py", "exec")
    assert len(FILES["launch.py"].splitlines()) <= 20
