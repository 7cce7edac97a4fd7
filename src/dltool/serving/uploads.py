"""Files of a request, read as the model's data was: images, and audio clips."""

import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dltool.config.folder_sources import AudioSource, ImagesSource
from dltool.data.media.image_decode import MOST_PIXELS, BadImage, ImageForm, decode, size_of
from dltool.data.sources.folders import MEDIA
from dltool.serving.limits import Refused
from dltool.serving.served import Query, Served
from dltool.text import listed, printable

MOST_FILES, MOST_PIXELS_TOGETHER = 64, 4 * MOST_PIXELS
GREY, COLOURS, TRANSPARENT = 1, 3, 4
"""Channels of images."""


@dataclass(frozen=True)
class Upload:
    """A file as a client sends it; its name is that on the client's machine."""

    name: str
    content: bytes


def kind_of(model: Served) -> Literal["image", "audio"] | None:
    """Return which files the model takes; an array of the shape of images takes images."""
    options = model.predictor.config.data.source.options
    if isinstance(options, ImagesSource | AudioSource):
        return "image" if isinstance(options, ImagesSource) else "audio"
    first, *others = model.predictor.inputs
    is_image = len(first.shape) == 3 and first.shape[-1] in (GREY, COLOURS, TRANSPARENT) and not others
    return "image" if is_image and not model.predictor.types else None


def question(model: Served, files: Sequence[Upload]) -> Query:
    """Return the question of files, one example each. Raises Refused: the model takes none, or they cannot be read."""
    if kind_of(model) is None:
        raise Refused(415, "the model takes no files; POST its rows as JSON")
    if not 0 < len(files) <= MOST_FILES:
        raise Refused(422, f"the form needs 1 to {MOST_FILES} files, each in a field named files")
    if (pixels := sum(pixels_of(each.content) for each in files)) > MOST_PIXELS_TOGETHER:
        raise Refused(413, f"the images have {pixels:,} pixels together; a request may have {MOST_PIXELS_TOGETHER:,}")
    if isinstance(model.predictor.config.data.source.options, ImagesSource | AudioSource):
        return decoded_as_trained(model, files)
    return decoded_to_shape(model, files)


def pixels_of(content: bytes) -> int:
    """Return the pixels that an image's header declares; 0 if it is none."""
    try:
        return math.prod(size_of(content))
    except BadImage:
        return 0


def decoded_as_trained(model: Served, files: Sequence[Upload]) -> Query:
    """Return the question of files that are decoded by the options of the run's source."""
    medium = MEDIA[model.predictor.config.data.source.name]
    asked, problems = [], []
    with tempfile.TemporaryDirectory(prefix="dltool-") as folder:
        for number, each in enumerate(files):
            # Nothing of a client's name but a known ending becomes part of a path.
            ending = next((known for known in medium.extensions if each.name.lower().endswith(known)), None)
            if ending is None:
                endings = listed(sorted(medium.extensions), 8)
                problems.append(problem(number, each, f"the name does not end as {medium.noun}s do: {endings}"))
                continue
            path = Path(folder, f"{number}{ending}")
            path.write_bytes(each.content)
            try:
                found = model.read(partial(model.predictor.files, [str(path)]))
            except Refused as refused:
                problems += [problem(number, each, reason_in(one["message"])) for one in refused.problems or ()]
            else:
                # What is decoded on access is read while the file exists.
                asked.append(
                    replace(found, inputs={name: np.array(rows) for name, rows in (found.inputs or {}).items()})
                )
    if problems:
        raise Refused(422, "not all of the files can be read", problems)
    inputs = {name: np.concatenate([(each.inputs or {})[name] for each in asked]) for name in asked[0].inputs or ()}
    warnings = tuple(dict.fromkeys(warning for each in asked for warning in each.warnings))
    return Query(sum(each.rows for each in asked), inputs=inputs, warnings=warnings)


def problem(number: int, file: Upload, reason: str) -> dict[str, Any]:
    return {"row": number, "field": "files", "message": f"{printable(file.name)}: {reason}"}


def reason_in(message: str) -> str:
    """Return the reason, in parentheses, of the message that one file cannot be used, else the message."""
    found = re.search(r"\((.*)\)$", message)
    return message if found is None else found[1]


def decoded_to_shape(model: Served, files: Sequence[Upload]) -> Query:
    """Return the question of images in the size and channels of the model's only input, values from 0 to 255."""
    (schema,) = model.predictor.inputs
    height, width, channels = schema.shape
    form = ImageForm((height, width), channels, "stretch")  # type: ignore[arg-type]  # one of three, see kind_of
    images = []
    for number, each in enumerate(files):
        try:
            pixels, _ = decode(each.content, form)
        except BadImage as error:
            raise Refused(422, "not all of the files can be read", [problem(number, each, str(error))]) from None
        images.append(np.frombuffer(pixels, np.uint8).reshape(schema.shape))
    return model.read(lambda: model.predictor.rows(np.stack(images)))
