"""What values an argument of Keras's takes, worked out from its owner, name, default and docstring.

What is not certain is `any`: refusing what Keras takes is worse than missing an error.
"""

import re
from typing import Any

from dltool.keras_names.argument_types import PADDING, by_name, or_null

OUTPUT_MODES = '"int"|"one_hot"|"multi_hot"|"count"'
BY_OBJECT = {
    "AugMix.factor": "float|list",
    "BinaryFocalCrossentropy.alpha": "float",
    "CategoricalFocalCrossentropy.alpha": "float|floats",
    "CategoryEncoding.num_tokens": "int|null",
    "CategoryEncoding.output_mode": '"one_hot"|"multi_hot"|"count"',
    "Constant.value": "any",
    "Discretization.bin_boundaries": "floats|null",
    "Discretization.num_bins": "int|null",
    "Discretization.output_mode": OUTPUT_MODES,
    "HashedCrossing.output_mode": '"int"|"one_hot"',
    "Hashing.mask_value": "any",
    "Hashing.output_mode": OUTPUT_MODES,
    "IntegerLookup.output_mode": f'{OUTPUT_MODES}|"tf_idf"',
    "RandAugment.factor": "float|list",
    "RandomGaussianBlur.kernel_size": "int|list",
    "RandomPosterization.factor": "number|list",
    "Rescaling.offset": "float|floats",
    "Rescaling.scale": "float|floats",
    "Resizing.height": "int",
    "STFTSpectrogram.mode": '"log"|"magnitude"|"psd"|"real"|"imag"|"angle"|"stft"',
    "StringLookup.output_mode": f'{OUTPUT_MODES}|"tf_idf"',
    "TextVectorization.output_mode": '"int"|"multi_hot"|"count"|"tf_idf"|"one_hot"',
    "TextVectorization.split": '"whitespace"|"character"|null',
    "TextVectorization.standardize": '"lower_and_strip_punctuation"|"lower"|"strip_punctuation"|null',
}
"""Arguments whose type depends on what has them."""

WINDOWS = {"kernel_size", "strides", "pool_size", "dilation_rate", "size"}
CUES = re.compile(
    r"one of|either|can be|values are|methods are|options include|supports|supported (?:values|options)", re.IGNORECASE
)
QUOTED = re.compile(r"""["'`]{1,2}([\w.-]+)["'`]{1,2}""")


def deduce(owner: str, name: str, text: str, default: Any, required: bool) -> str:
    """Deduce the type of the argument `name` of `owner`, whose docstring entry is `text`.

    `default` counts only if the argument is not `required`."""
    known = BY_OBJECT.get(f"{owner}.{name}") or by_name(name) or window(owner, name)
    if known is None:
        known = padding(owner) if (name, default) == ("padding", "valid") else from_text(text, default, required)
    takes_null = not required and (default is None or ("None" in text and name != "padding"))
    return or_null(known) if takes_null else known


def window(owner: str, name: str) -> str | None:
    """Return the type of `kernel_size` and the like: one size, or as many as the object has dimensions."""
    dimensions = re.search(r"([123])D", owner)
    if name not in WINDOWS or dimensions is None:
        return None
    return "int" if owner == "UpSampling1D" else f"int|ints:{dimensions[1]}"


def padding(owner: str) -> str:
    return f'{PADDING}|"causal"' if owner == "Conv1D" else PADDING


def from_text(text: str, default: Any, required: bool) -> str:
    sentence = text.split(". ", maxsplit=1)[0].replace("`", "")
    said = words(sentence)
    if required or default is None:
        return "|".join(said) if said and is_plain(sentence) else "any"
    if isinstance(default, bool):
        return "bool"
    lists = [word for word in said if word == "list"]
    if isinstance(default, int):
        return "|".join(["int" if "int" in said and "float" not in said else "number", *lists])
    if isinstance(default, float):
        return "|".join(["float", *lists])
    if isinstance(default, str):
        choices = choices_in(text)
        return "|".join(f'"{choice}"' for choice in choices) if default in choices else "any" if lists else "text"
    return "any"


def words(sentence: str) -> list[str]:
    patterns = {
        "bool": r"\bbool(ean)?\b",
        "int": r"\b(positive |whole |python )?int(eger)?\b",
        "float": r"\bfloat(ing)?\b",
        "text": r"\bstr(ing)?\b",
        "list": r"\b(tuple|list|array|integers|floats)\b",
        "mapping": r"\bdict(ionary)?\b",
    }
    return [word for word, pattern in patterns.items() if re.search(pattern, sentence, re.IGNORECASE)]


def is_plain(sentence: str) -> bool:
    """Return whether the type stands first, as in "Positive integer, …", and not somewhere in an explanation."""
    return bool(
        re.match(r"\(?(optional\)?,? )?(a |an )?(python |positive |1d )?(int|float|bool|str)", sentence, re.IGNORECASE)
    )


def choices_in(text: str) -> list[str]:
    """Return the quoted strings after "one of" and the like, in the same sentence."""
    cue = CUES.search(text)
    if cue is None:
        return []
    sentence = re.split(r"\.\s|\.$|configuring| - ", text[cue.end() :])[0]
    return list(dict.fromkeys(match for match in QUOTED.findall(sentence) if match not in {"None", "True", "False"}))
