"""Data of about ten times the memory that it may take trains in the memory that a tenth of it needs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.data.pictures import encoded

MEMORY = 2**25
PROGRAM = f"""
import pathlib
import dltool.machine
dltool.machine.usable_memory = lambda: {MEMORY}
import dltool.training.batches
dltool.training.batches.CHUNK_BYTES = 2**21
from dltool import cli
try:
    cli.main()
except SystemExit as ended:
    assert not ended.code, ended.code
# What getrusage says includes the process that started this one.
print(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
TRAINING = """\
model:
  layers: [{layers}{{Dense: {{units: $classes, activation: softmax}}}}]
training: {{optimizer: adam, loss: sparse_categorical_crossentropy, batch_size: 32, epochs: 2}}
"""


def peak(config: str, folder: Path) -> int:
    """Bytes that a training takes at most, in a process of its own."""
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-c", PROGRAM, "train", str(folder / "config.yaml"), "--runs", str(folder), "--quiet"]
    environment = {**os.environ, "DLTOOL_CACHE": str(folder / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1]) * 1024


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much memory was taken"),
]


def test_a_table_in_files_takes_no_more_memory_the_larger_it_is(tmp_path: Path) -> None:
    columns, peaks = 200, []
    for rows in (10_000, 100_000):
        with (tmp_path / "table.csv").open("w", encoding="utf-8") as file:
            file.write(",".join([*(f"x{number}" for number in range(columns)), "kind", "label"]) + "\n")
            for block in np.array_split(np.random.default_rng(0).integers(100, 999, (rows, columns)), 10):
                file.writelines(f"{','.join(map(str, row))},k{row[1] % 9},c{row[0] % 2}\n" for row in block.tolist())
        data = "data: {source: {csv: table.csv}, target: label, split: {validation: 0.1, test: 0.1}}\n"
        peaks.append(peak(data + TRAINING.format(layers=""), tmp_path))
    print(peaks)
    # Its columns are 81 MB; what is kept of a row besides takes some bytes.
    assert peaks[1] - peaks[0] < 100_000 * 4 * columns / 2


@pytest.mark.parametrize("cache", ["4 GB", "off"])
def test_pictures_take_no_more_memory_the_more_there_are(tmp_path: Path, cache: str) -> None:
    peaks = []
    for each in (400, 2000):
        for name, shade in (("dark", 40), ("light", 200)):
            (tmp_path / "images" / name).mkdir(parents=True, exist_ok=True)
            for number in range(each):
                picture = np.full((128, 128, 3), shade + number % 20, np.uint8)
                picture[number % 128] = number % 256
                (tmp_path / "images" / name / f"{number}.png").write_bytes(encoded(picture))
        data = (
            "data: {source: {images: {path: images, size: [128, 128]}}, "
            f"split: {{validation: 0.1, test: 0.1}}, cache: {cache}}}\n"
        )
        peaks.append(peak(data + TRAINING.format(layers="GlobalAveragePooling2D, "), tmp_path))
    print(peaks)
    assert peaks[1] - peaks[0] < 3200 * 128 * 128 * 3 / 2
