"""Folders and archives of files as examples: pictures, recordings, texts."""

from dataclasses import replace
from typing import Any

from dltool.config.folder_sources import AudioSource, ImagesSource, TextSource
from dltool.config.schema import Data
from dltool.config.sources import Source
from dltool.data.examples import Examples
from dltool.data.media.audio import load_audio
from dltool.data.media.images import load_images
from dltool.data.sources.texts import load_texts
from dltool.errors import ConfigPath


def load_folder_examples(data: Data) -> Examples:
    """The examples of the source, with the parts that other sources give: their part of that kind, else all they have.

    Raises:
        DataError: with all the files that cannot be used.
        MachineError: there is no room for them.
    """
    examples = load_folder(data.source, data, ("data", "source"))
    settled = examples.settled
    for role in ("validation", "test"):
        source = getattr(data, role)
        if source is None:
            continue
        other = load_folder(like(source, settled.get("source", data.source)), data, ("data", role))
        part = getattr(other, role) or other.training
        examples = replace(
            examples,
            validation=part if role == "validation" else examples.validation,
            test=part if role == "test" else examples.test,
            warnings=(*examples.warnings, *other.warnings),
        )
    return examples


def like(source: Source, first: Source) -> Source:
    """The source with the form of the first one, as far as it says nothing else."""
    given: dict[str, Any] = {}
    for key in ("size", "rate", "seconds"):
        if getattr(source.options, key, 0) is None:
            given[key] = getattr(first.options, key)
    return Source(source.name, source.options.model_copy(update=given))


def load_folder(source: Source, data: Data, place: ConfigPath) -> Examples:
    """One source. What it leaves open, such as the size of pictures, is settled by its files."""
    options = source.options
    if isinstance(options, ImagesSource):
        images = load_images(options, place, data.cache)
        settled = {"source": Source(source.name, options.model_copy(update={"size": images.size}))}
        return replace(images.examples, settled=settled)
    if isinstance(options, AudioSource):
        sounds = load_audio(options, place, use_cache=data.cache > 0)
        form = {"rate": sounds.form.rate, "seconds": sounds.form.seconds}
        settled = {"source": Source(source.name, options.model_copy(update=form))}
        return replace(sounds.examples, settled=settled)
    assert isinstance(options, TextSource)
    return load_texts(options, place)
