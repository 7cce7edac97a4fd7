"""Arrays as nested lists, and images as files."""

import io
import zlib

import numpy as np
import pytest
from tests.serving.conftest import Client, png

from dltool.serving import uploads


def upload(client: Client, *files: tuple[str, bytes]):
    return client("POST", "/predict/files", files=[("files", file) for file in files])


def test_nested_lists_are_rows(pictures: Client) -> None:
    answer = pictures.rows(np.zeros((8, 8), int).tolist(), np.full((8, 8, 1), 16).tolist())

    assert answer.status_code == 422  # they have different shapes
    assert pictures.rows(*np.zeros((2, 8, 8), int).tolist()).status_code == 200


@pytest.mark.parametrize(
    "row",
    [
        [[0] * 7] * 8,
        [[300] * 8] * 8,
        [["a"] * 8] * 8,
        [[True] * 8] * 8,
        [[None] * 8] * 8,
        [[1e39] * 8] * 8,
        3,
        "x",
        {},
        [],
    ],
)
def test_rows_of_another_kind_are_refused(pictures: Client, row) -> None:
    answer = pictures.rows(row)

    assert answer.status_code == 422
    assert answer.json()["error"]


def test_an_image_is_resized_to_the_model_s(pictures: Client) -> None:
    answer = upload(pictures, ("one.png", png((20, 30, 3))), ("two.png", png((8, 8))))

    said = pictures.rows(*np.full((2, 8, 8), 7).tolist()).json()["predictions"]
    assert answer.json()["predictions"] == said


def test_an_image_on_another_scale_is_answered_with_a_warning(pictures: Client) -> None:
    assert "warnings" not in upload(pictures, ("dark.png", png((8, 8), 2))).json()
    assert "far outside the training range" in upload(pictures, ("bright.png", png((8, 8), 255))).json()["warnings"][0]


def bomb() -> bytes:
    """Return a PNG of 60,000 × 60,000 pixels in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = (60_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    rows = zlib.compress(bytes(60_001) * 60)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content", [b"", b"hello", png((8, 8))[:60], bomb()], ids=["empty", "text", "truncated", "bomb"]
)
def test_what_is_no_image_is_refused_by_name(pictures: Client, content: bytes) -> None:
    answer = upload(pictures, ("../<b>cat</b>.png", content))

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["message"].startswith("../<b>cat</b>.png: ")


def test_images_that_are_large_together_are_refused_by_their_headers(
    pictures: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_PIXELS_TOGETHER", 128)

    assert upload(pictures, *[("a.png", png((8, 8)))] * 2).status_code == 200
    answer = upload(pictures, *[("a.png", png((8, 8)))] * 3)
    assert (answer.status_code, answer.json()) == (
        413,
        {"error": "the images have 192 pixels together; a request may have 128"},
    )


def test_a_form_without_files_or_with_too_many_is_refused(pictures: Client) -> None:
    assert pictures("POST", "/predict/files", data={"files": "x"}, files={"other": ("a.png", b"")}).status_code == 422
    assert upload(pictures, *[("a.png", png((8, 8)))] * 65).status_code in (400, 422)
    body = io.BytesIO(b"no form").getvalue()
    broken = pictures(
        "POST", "/predict/files", content=body, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert broken.status_code == 400
    assert pictures("POST", "/predict/files", json={}).status_code == 415
