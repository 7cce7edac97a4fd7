"""Keras docstrings in plain words: one sentence for an object, one for each of its arguments."""

import re

HEADING = re.compile(r"^\s*(Args|Arguments):\s*$")
ENTRY = re.compile(r"^\s*`?\*{0,2}(\w+)`?\s*(?:\([^)]*\))?:\s*(.*)$")
TYPES = r"(?:int(?:eger)?s?|floats?|bool(?:ean)?|str(?:ing)?|scalar|number|None|tuple|list|dict(?:ionary)?)"
# "Boolean." and "int or tuple of 2 integers," repeat what the argument's type says.
TYPE_FIRST = re.compile(
    rf"(?:\(?optional\)?,? )?(?:a |an )?(?:python |positive )?{TYPES}(?: value)?"
    rf"(?:(?:/|,? or (?:an? )?){TYPES})*(?: of \d {TYPES})?(?:[.,;:]\s+(?!or\b)|$)",
    re.IGNORECASE,
)
ABOUT_THE_TYPE = re.compile(
    r"[^.]*callable that takes no arguments[^.]*\.\s+"
    r"|(?:Optional |A |An )?(?:Python )?(?:list|tuple|integer)s?(?: of \w+)?\.\s+"
)
LONGEST = 240
NOT_THE_END = "\0"


def summary(docstring: str) -> str:
    """The first sentence of a docstring (as `inspect.getdoc` returns it), on one line."""
    paragraph = docstring.strip().split("\n\n")[0]
    return first_sentence(paragraph)


def argument_texts(docstring: str) -> dict[str, str]:
    """Each entry under `Args:`, whole and on one line."""
    lines = docstring.split("\n")
    start = next((index for index, line in enumerate(lines) if HEADING.match(line)), None)
    if start is None:
        return {}
    texts: dict[str, str] = {}
    current, margin = "", None
    for line in lines[start + 1 :]:
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        margin = indent if margin is None else margin
        if indent < margin:
            break
        entry = ENTRY.match(line) if indent == margin else None
        if entry:
            current = entry[1]
            texts[current] = entry[2].strip()
        elif current:
            texts[current] = f"{texts[current]} {line.strip()}"
    return texts


def argument_summary(text: str) -> str:
    """The first sentence of an argument's entry, without the type at its head."""
    plain = without_markup(text).replace("keras.optimizers.schedules.", "")
    shorter = ABOUT_THE_TYPE.sub("", plain, count=1) if ABOUT_THE_TYPE.match(plain) else plain
    sentence = first_sentence(TYPE_FIRST.sub("", shorter, count=1) if TYPE_FIRST.match(shorter) else shorter)
    return sentence[:1].upper() + sentence[1:]


def first_sentence(text: str) -> str:
    """Its first sentence without markup, cut at a word where it is longer than a few lines."""
    plain = without_markup(text)
    match = re.match(r"(.+?[^.\s]\.)(?=\s+[A-Z(]|\s*$)", re.sub(r"\b(e\.g|i\.e|vs)\.", rf"\1{NOT_THE_END}", plain))
    sentence = (match[1] if match else plain).replace(NOT_THE_END, ".").strip()
    if len(sentence) <= LONGEST:
        return sentence
    return sentence[:LONGEST].rsplit(" ", 1)[0] + " …"


def without_markup(text: str) -> str:
    text = re.sub(r"\{\{\w+\}\}", "", text)
    text = re.sub(r"\[([^\]]+)\]\(\s*[^)]*\)", r"\1", text)
    text = re.sub(r"```.*", "", text, flags=re.DOTALL)
    text = re.sub(r"`([^`]*)`", r"\1", text)
    return re.sub(r"\s+", " ", text).strip()
