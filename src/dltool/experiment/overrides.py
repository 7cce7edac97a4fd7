"""Overridden and inferred values of a config."""

from collections import Counter

from dltool.config.load import Document
from dltool.config.schema import Config
from dltool.config.text.dump import origins
from dltool.config.text.tree import ARGUMENTS
from dltool.text import counted

CHOICES = {
    ("training", "checkpoint", "monitor"): "best epoch by {}",
    ("data", "split", "stratify"): "splits stratified by class",
}
"""Descriptions of defaults that are inferred from the data."""


def overrides(document: Document, config: Config) -> list[str]:
    """Describe command-line arguments, values from other files and inferred values, one line each. `config` is resolved
    for its data."""
    found = origins(document, config)
    arguments = [text for text in document.texts if text.startswith(tuple(f"{name} " for name in ARGUMENTS))]
    files = Counter(origin.origin.rsplit(":", 2)[0] for origin in found if origin.origin.count(":") >= 2)
    others = {name: count for name, count in files.items() if name in document.texts and name not in arguments}
    others.pop(document.shown_as, None)
    chosen = [
        CHOICES[origin.path].format(origin.value)
        for origin in found
        if origin.path in CHOICES and origin.origin == "default" and origin.value is not False
    ]
    lines = [f"overridden by {', '.join(arguments)}"] if arguments else []
    lines += [f"{counted(count, 'value')} from {name}, which the config extends" for name, count in others.items()]
    return lines + ([f"inferred: {', '.join(chosen)}"] if chosen else [])
