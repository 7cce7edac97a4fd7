"""`dltool init DATA`: a config that loads, names its baseline, and leaves out what would give the answer away."""

import zipfile
from pathlib import Path

import pytest

HEADER = "id,colour,size,weight,verdict,told"


def write_table(path: Path, rows: int = 60, missing: str = "NA") -> Path:
    lines = [HEADER]
    for row in range(rows):
        verdict = ("yes", "no", "no")[row % 3]
        weight = missing if row == 7 else f"{1.5 + row % 11 / 4}"
        lines.append(f"{row},{('red', 'green')[row % 2]},{row % 7},{weight},{verdict},{verdict.upper()}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_config_of_a_table_loads_with_its_data(dltool, tmp_path):
    table = write_table(tmp_path / "a table.csv")
    done = dltool("init", table, "--target", "verdict", "--out", tmp_path / "draft.yaml")
    assert (done.code, done.stdout) == (0, "")
    checked = dltool("check", "--data", tmp_path / "draft.yaml")
    assert checked.code == 0, checked.stderr
    assert "2 classes" in checked.stdout


def test_it_names_the_baseline_and_what_gives_the_target_away(dltool, tmp_path):
    text = dltool("init", write_table(tmp_path / "table.csv"), "--target", "verdict").stdout
    assert 'the most frequent class, "no"' in text
    assert "told: ignore" in text
    assert "tells the target" in text
    assert 'missing: ["NA"]' in text or "missing: [NA]" in text
    assert "split: {validation:" in text


def test_an_unknown_target_gives_near_names(dltool, tmp_path):
    done = dltool("init", write_table(tmp_path / "table.csv"), "--target", "verdit")
    assert done.code in (2, 3)
    assert "verdict" in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_there_is_left_alone(dltool, tmp_path):
    (tmp_path / "draft.yaml").write_text("mine", encoding="utf-8")
    done = dltool("init", write_table(tmp_path / "table.csv"), "--target", "verdict", "--out", tmp_path / "draft.yaml")
    assert done.code == 2
    assert (tmp_path / "draft.yaml").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["texts", "texts.zip"])
def test_class_folders_of_texts_get_a_config(dltool, tmp_path, name):
    files = {f"{kind}/{number}.txt": f"{kind} words {number}\n" for kind in ("ham", "spam") for number in range(20)}
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)
    else:
        for file, text in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(text, encoding="utf-8")
    assert dltool("init", tmp_path / name, "--out", tmp_path / "draft.yaml").code == 0
    assert "2 classes" in dltool("check", "--data", tmp_path / "draft.yaml").stdout


def test_a_template_stays_a_template(dltool):
    assert dltool("init", "digits").stdout.startswith("# Handwritten digits")
