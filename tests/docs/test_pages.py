"""Every page from start to end, as a reader would follow it: its files, its commands, and what they print.

`UPDATE_DOCS=1 python -m pytest tests/docs/test_pages.py -m slow` writes what is printed into the pages instead.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands
from tests.docs.shell import environment, missing, refreshed, run, shape_of

UPDATE = bool(os.environ.get("UPDATE_DOCS"))

# Commands that are shown and cannot run here: what they begin with, and why.
UNRUN = {
    "make ": "sets up an environment, or tests the tests",
    "python3 -m venv ": "sets up an environment",
    ".venv/bin/pip ": "installs from the package index",
    "pip ": "installs from the package index",
    "source ": "changes the shell",
    "git clone ": "needs a server",
    ".venv/bin/dltool train configs/mnist.yaml": "downloads MNIST",
    "docker ": "needs a daemon",
}
# Files of a reader, for the pages that speak of them.
WINES = """\
from sklearn.datasets import load_wine

load_wine(as_frame=True).frame.rename(columns={"target": "quality"}).to_csv("wines.csv", index=False)
"""

pytestmark = pytest.mark.slow


class Page:
    """A page in a folder of its own."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.changes: list[tuple[Block, str]] = []
        self.problems: list[str] = []

    def follow(self) -> None:
        printed, heading = None, ""
        for block in blocks(self.page):
            if block.language == "hidden":
                for command in commands(block):
                    self.run(block, command, 0)
                continue
            if "not run" in block.marks:
                printed = None
            elif block.language == "console":
                printed, heading = self.console(block), block.heading
            elif block.language == "text" and not block.title:
                if printed is not None and block.heading == heading:
                    self.compare(block, printed)
                printed = None
            else:
                self.file(block)

    def console(self, block: Block) -> str | None:
        printed, lines = "", list(commands(block))
        if any(command.startswith(tuple(UNRUN)) for command in lines):
            return None
        for command in lines:
            expected = int(block.marks.get("exit", 0)) if command == lines[-1] else 0
            printed += self.run(block, command, expected)
        return printed

    def run(self, block: Block, command: str, expected: int) -> str:
        code, printed = run(command.replace(".venv/bin/", ""), self.folder)
        if code != expected:
            self.problems.append(f"{block.name}: {command} ended with {code}, not {expected}:\n{printed}")
        return printed if printed.strip() else ""

    def compare(self, block: Block, printed: str) -> None:
        if UPDATE:
            self.changes.append((block, refreshed(block.text, printed)))
        elif lines := missing(block.text, printed):
            self.problems.append(f"{block.name}: this is not printed:\n" + "\n".join(lines) + f"\nbut this:\n{printed}")

    def file(self, block: Block) -> None:
        source = block.marks.get("same as")
        if source and (self.folder / source).exists():
            written = (self.folder / source).read_text("utf-8")
            if UPDATE:
                self.changes.append((block, written))
            elif [*map(shape_of, written.splitlines())] != [*map(shape_of, block.text.splitlines())]:
                self.problems.append(f"{block.name}: is not the file {source}:\n{written}")
        elif block.title and "not checked" not in block.marks:
            file = self.folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, "utf-8")
        elif block.language == "python" and not block.title:
            (self.folder / "block.py").write_text(block.text, "utf-8")
            self.run(block, "python block.py", 0)

    def write(self) -> None:
        text = self.page.read_text("utf-8")
        for block, new in sorted(self.changes, key=lambda change: change[0].start, reverse=True):
            indented = "".join(f"{block.indent}{line}".rstrip() + "\n" for line in new.splitlines())
            text = text[: block.start] + indented + text[block.end :]
        self.page.write_text(text, "utf-8")


@pytest.fixture(scope="session")
def digit_runs(tmp_path_factory) -> Path:
    """Two runs that the guides speak of."""
    folder = tmp_path_factory.mktemp("digit-runs") / "folder"
    folder.mkdir()
    (folder / "configs").symlink_to(ROOT / "configs")
    for rate in ("2e-3", "5e-4"):
        settings = f"--set training.epochs=2 --set training.optimizer.Adam.learning_rate={rate}"
        bound = "--set 'expect.accuracy=\"> 0.5\"'"
        code, printed = run(f"dltool train configs/digits.yaml {settings} {bound}", folder)
        assert code == 0, printed
    return folder / "runs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_shows(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copytree(ROOT / "configs", folder / "configs")
    run_here = [block for block in blocks(page) if "not run" not in block.marks]
    shown = "\n".join(block.text for block in run_here if block.language in {"console", "python"})
    is_own = re.search(r"dltool train configs/digits\.yaml", shown)
    if re.search(r"runs/digits/(0001|0002|latest)", shown) and not is_own:
        shutil.copytree(request.getfixturevalue("digit_runs"), folder / "runs", symlinks=True)
    if "wines.csv" in shown:
        subprocess.run(["python", "-c", WINES], cwd=folder, env=environment(folder), check=True)
    followed = Page(page, folder)
    followed.follow()
    followed.write() if UPDATE else None
    assert not followed.problems, "\n\n".join(followed.problems)
