"""Whatever is done to a config, checking it succeeds or names a position."""

import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bad_configs import GOOD, IMAGES

from dltool.commands.check import check
from dltool.config.load import read_document
from dltool.console.problems import render_error
from dltool.errors import ConfigError

CONFIGS = Path(__file__).parents[1] / "configs"
TEXTS = [GOOD, IMAGES, *(path.read_text("utf-8") for path in sorted(CONFIGS.glob("*.yaml")))]
MARKS = """{ } [ ] : , - & * ! | > ' " # % @ ` $ $( ) ${ <<: null true no .nan .inf -1 0 1e400 010 1:30 ~""".split()  # noqa: SIM905
PIECES = st.one_of(
    st.sampled_from([*MARKS, "\t", "\n", "\n---\n", "- Dense: 3", "extends: example.yaml"]),
    st.sampled_from(["Dense", "os.system", "$classes", "$(1/0)", "adam", "accuracy", "units"]),
    st.text(max_size=6),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A good config with a few edits: pieces removed, inserted or replaced, lines moved or repeated."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        match draw(st.sampled_from(["replace", "word", "line"])):
            case "replace":
                text = text[:start] + draw(PIECES) + text[end:]
            case "word":
                words = list(re.finditer(r"[\w.]+", text))
                if words:
                    word = draw(st.sampled_from(words))
                    text = text[: word.start()] + draw(PIECES) + text[word.end() :]
            case "line":
                lines = text.splitlines(keepends=True) or [""]
                line = lines.pop(draw(st.integers(0, len(lines) - 1)))
                lines.insert(draw(st.integers(0, len(lines))), line * draw(st.integers(0, 2)))
                text = "".join(lines)
    return text


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_a_mutated_config_is_good_or_its_mistakes_have_positions(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.yaml"
        path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
        document = None
        try:
            document = read_document(path)
            check(document, read_data=False, build=False)
        except ConfigError as error:
            for line in render_error(error, document).plain.splitlines():
                assert line.startswith((" ", "\t")) or re.match(r".*example\.yaml:\d+:\d+: ", line), line
