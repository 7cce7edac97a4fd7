from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dltool.errors import ConfigPath, Problem


@dataclass(frozen=True)
class KerasObject:
    """A Keras class or function by its Keras name, with its Keras arguments.

    `is_string` marks a Keras string identifier (`adam`, `relu`, `accuracy`), which Keras itself resolves. Arguments may
    hold further Keras objects.
    """

    kind: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_string: bool = False


def parse_keras_object(kind: str, value: Any, path: ConfigPath = ()) -> tuple[KerasObject | None, list[Problem]]:
    raise NotImplementedError
