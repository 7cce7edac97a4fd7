import pytest

from dltool.console.safe_streams import PLAIN


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("ascii", "8 x 8 - 2... >= 1 \\u5b57"),
        ("cp437", "8 x 8 · 2... ≥ 1 \\u5b57"),
        ("cp1252", "8 × 8 · 2… >= 1 \\u5b57"),
    ],
)
def test_what_an_encoding_lacks_is_written_plainer(encoding, text) -> None:
    assert "8 × 8 · 2… ≥ 1 字".encode(encoding, PLAIN).decode(encoding) == text


def test_bytes_that_are_no_text_are_still_an_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", PLAIN)
