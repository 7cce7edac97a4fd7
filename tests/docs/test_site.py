"""The site is built strictly, offline, loads nothing from elsewhere, and is open to everybody."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PACKAGES = [ROOT / "node_modules" / name for name in ("playwright-core", "axe-core")]
LOADS = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]*)\"")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None,
    reason="the extra docs is not installed",
)


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) == len(PAGES), "each page of docs, and 404 in place of the README"
    loads = {address for page in pages for address in LOADS.findall(page.read_text("utf-8"))}
    assert loads == set()


def test_images_are_small() -> None:
    images = [*(ROOT / "docs").rglob("*.png")]
    sizes = {str(image.relative_to(ROOT)): image.stat().st_size for image in images}
    assert {name: size for name, size in sizes.items() if size > 150_000} == {}
    assert sum(sizes.values()) < 800_000


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)) or shutil.which("node") is None, reason="Chromium or Node is not installed"
)
@pytest.mark.skipif(not all(path.exists() for path in PACKAGES), reason="npm install has not been run")
def test_pages_are_quiet_fit_and_are_open_to_everybody(site: Path) -> None:
    script = Path(__file__).with_name("browser.js")
    done = subprocess.run(["node", script, site], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.splitlines()[-1], done.returncode) == (f"{len(PAGES) - 1} pages: 0 problems", 0), done.stdout
