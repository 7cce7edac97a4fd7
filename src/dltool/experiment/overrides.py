"""What a training does otherwise than its config's file says, and what was decided where it says nothing."""

from collections import Counter

from dltool.config.load import Document
from dltool.config.schema import Config
from dltool.config.text.dump import origins
from dltool.config.text.tree import ARGUMENTS

CHOICES = {
    ("training", "checkpoint", "monitor"): "best epoch by {}",
    ("data", "split", "stratify"): "each class in its share in every part",
}
"""Defaults that follow from the data, in words."""


def overrides(document: Document, config: Config) -> list[str]:
    """A line each for arguments of the command line, for values of other files, and for choices; `config` is in force
    for its data.
    """
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
    lines = [f"set by {', '.join(arguments)}"] if arguments else []
    lines += [
        f"{count} value{'s' * (count > 1)} from {name}, which the config extends" for name, count in others.items()
    ]
    return lines + ([f"chosen: {', '.join(chosen)}"] if chosen else [])
