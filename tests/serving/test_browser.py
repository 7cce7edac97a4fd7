"""The page of a server in Chromium. Without it, or without the two packages that drive it, there is nothing to see."""

import subprocess
from pathlib import Path

from tests.report import test_browser as reports
from tests.serving.conftest import png
from tests.serving.test_process import server

pytestmark = reports.pytestmark
KEY = "a-key-for-the-page"


def test_a_person_can_use_the_page(table_run: Path, picture_run: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    image = tmp_path / "image.png"
    image.write_bytes(png((8, 8)))
    with server(table_run, picture_run, "--api-key-file", tmp_path / "key") as (_, port):
        command = ["node", str(Path(__file__).with_name("browser.js")), f"http://127.0.0.1:{port}/", KEY, str(image)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert (done.stdout, done.stderr) == ("0 problems\n", "")
