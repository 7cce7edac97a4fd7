"""A config for a folder or an archive of class folders: images, audio clips, texts."""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.columns import ONE_TARGET
from dltool.config.folder_sources import TextSource
from dltool.data.arrays.rows import Rows
from dltool.data.examples import SourceExamples
from dltool.data.files.class_folders import Item, Labelled, split_in
from dltool.data.files.file_tree import Members, UnreadableMember, open_members
from dltool.data.files.listing import natural_key
from dltool.data.media import codecs, image_decode
from dltool.data.media.audio import CLIPS, headers_of
from dltool.data.media.clip import ClipHeader
from dltool.data.media.image_decode import opened, size_of, used_bits
from dltool.data.media.images import IMAGES
from dltool.data.media.load import Medium
from dltool.data.media.skipping import without_faulty
from dltool.data.sources.folders import load_texts
from dltool.data.tables.cells import is_unspaced
from dltool.data.tables.decompression import BYTE_ORDER_MARKS
from dltool.drafting.draft import Draft, Lines, in_comment, in_comments, scalar, split_line, training_lines
from dltool.drafting.name_patterns import note_of_people, pattern_in, ways_to_classes, with_classes
from dltool.drafting.refused_folders import refuse_folder
from dltool.errors import DataError
from dltool.text import counted

CLASSES = ("- Dense: {units: $classes, activation: softmax}", "")
CLASSIFIER: Lines = (("- Dropout: 0.3", ""), ("- Dense: {units: 64, activation: relu}", ""), CLASSES)
MOST_TOKENS = 20_000
TEXT_LAYERS: Lines = (
    (f"- Embedding: {{input_dim: {MOST_TOKENS}, output_dim: 32, mask_zero: true}}", "a vector for each word"),
    ("- Dropout: 0.3", ""),
    ("- GlobalAveragePooling1D", "the mean over the words"),
    ("- Dropout: 0.3", ""),
)
LOSS = "sparse_categorical_crossentropy"
MEDIA, TEXTS = (2_000, 60), (2_500, 40)
"""The length of a training: steps in all, roughly, and the most epochs."""
NUMBER = re.compile(r"\d+")
MOST_NUMBERED = 10
"""More files than digits that are called by numbers are no classes."""
SAMPLE = 1_000
MOST_LEFT_OUT = 0.1
"""The most files that cannot be read and are left out of a draft, as a share of all."""
LARGEST_SIDE = 96
SMALLEST_SIDE = 8
MEL_BANDS = 64


def draft_folder(path: Path, named: Callable[[Path], str], on_error: str = "refuse") -> Draft:
    """Draft a config for a folder or an archive. `named` gives a path as YAML. `on_error` is that of the source.

    Raises DataError: its files are refused, damaged, or not in classes."""
    members = open_members(str(path), ())
    refuse_folder(members)
    names = [member.name.lower() for member in members.members]
    images = sum(name.endswith(image_decode.EXTENSIONS) for name in names)
    clips = sum(name.endswith(codecs.EXTENSIONS) for name in names)
    if max(images, clips) * 2 <= len(names):
        return draft_texts(path, named(path))
    medium = IMAGES if images >= clips else CLIPS
    members, pattern, found = with_classes(members, medium.extensions, medium.noun)
    if on_error == "skip":
        found = with_few_left_out(found, members, medium)
    given = f"path: {named(Path(members.path))}"
    given += f", pattern: {scalar(pattern)}" if pattern else ""
    draft = (draft_images if medium is IMAGES else draft_audio)(members, found, given + said(on_error))
    return draft if pattern else replace(draft, notes=note_of_people(found.parts["training"], medium is IMAGES))


def said(on_error: str) -> str:
    """Return the option as part of a source, unless it is the default."""
    return "" if on_error == "refuse" else f", on_error: {on_error}"


def with_few_left_out(found: Labelled, members: Members, medium: Medium) -> Labelled:
    """Return the files that can be read. Raises DataError: many cannot."""
    kept = without_faulty(found, members, medium.decode_one, medium.noun, cache=1)
    few, many = (sum(map(len, each.parts.values())) for each in (kept, found))
    if many - few > MOST_LEFT_OUT * many:
        raise DataError(f"{many - few:,} of {counted(many, medium.noun)} of {members.path} cannot be read")
    return kept


def parts_line(found: Labelled | SourceExamples) -> list[tuple[str, str]]:
    """Return the line of the split, as far as the source does not divide itself."""
    if "test" not in found.parts and "validation" in found.parts:
        return [("split: {test: 0.2}", "the validation split is the data's own")]
    if isinstance(found, Labelled) and "group" in found.parts["training"][0].columns:
        return [(split_line(len(found.parts["training"])).replace("}", ", group: group}"), "a person is in one split")]
    if "test" not in found.parts:
        return [(split_line(len(found.parts["training"])), "")]
    return [] if "validation" in found.parts else [("split: {validation: 0.1}", "the test split is the data's own")]


def class_draft(
    path: str | Path, examples: str, classes: Counter[str], data: Lines, layers: Lines, length: tuple[int, int]
) -> Draft:
    """Return the draft. `examples` says how many of what there are, `classes` are those of the training examples."""
    (most, many), (_, few) = classes.most_common(1)[0], classes.most_common()[-1]
    varied = f"{few:,} to {many:,} of each, {in_comment(most)} most often"
    names = in_comments(sorted(classes)) if many == few else varied
    title = f"{in_comment(Path(path).name)[1:-1]}: {examples} of {counted(len(classes), 'class')}, {names}."
    if few == 1:
        alone = "a class has one example only, and cannot be in every split"
        data = [
            (line.replace("}", ", stratify: false}"), alone) if line.startswith("split: ") else (line, comment)
            for line, comment in data
        ]
    training = training_lines(classes.total(), LOSS, "accuracy", length)
    return Draft(title, data, layers, training, "accuracy")


def draft_images(members: Members, found: Labelled, given: str) -> Draft:
    items = found.parts["training"]
    classes = Counter(item.label for item in items)
    images = images_of(members, items)
    size, channels = images.size, images.channels
    if images.bits < 16:
        given += f", bits: {images.bits}"
    seen = images.seen + ("" if images.are_of_size else ", all are stretched to this")
    data = [
        (f"source: {{images: {{{given}, size: [{size[0]}, {size[1]}], channels: {channels}}}}}", seen),
        *inner_folders(items),
        *parts_line(found),
        ("preprocessing:", ""),
        ("  - Rescaling: {scale: $(1 / 255)}", "from 0…255 to 0…1"),
        *augmentation(channels),
    ]
    filters = 32 if len(items) * size[0] * size[1] < 20_000_000 else 16
    examples = counted(sum(map(len, found.parts.values())), "image")
    return class_draft(members.path, examples, classes, data, [*convolutions(size, filters), *CLASSIFIER], MEDIA)


@dataclass(frozen=True)
class ImageSurvey:
    """The `size` and channels to read images with; `seen` describes their sizes."""

    size: tuple[int, int]
    channels: int
    seen: str
    are_of_size: bool
    bits: int


def images_of(members: Members, items: Sequence[Item]) -> ImageSurvey:
    """Return what images are like, by some of them. Raises DataError: none can be read."""
    images = survey_images(contents_of(members, items[:: -(-len(items) // SAMPLE)]))
    if images is None:
        why = "they are damaged, or of a kind that is not read"
        raise DataError(f"no image of {members.path} can be read, such as {items[0].member.name}: {why}")
    return images


def survey_images(contents: Iterable[bytes]) -> ImageSurvey | None:
    """Return what images are like, None where none can be read; damaged ones are found later."""
    sizes: Counter[tuple[int, int]] = Counter()
    grey = bits = 0
    for content in contents:
        with contextlib.suppress(UnreadableMember, *image_decode.DAMAGE):
            image = opened(content)
            sizes[size_of(content)] += 1
            grey += image.mode in image_decode.GREY
            bits = max(bits, used_bits(image))
    if not sizes:
        return None
    ((height, width), most), all_of_them = sizes.most_common(1)[0], sizes.total()
    # Reduced if it is large, but large enough for convolutions.
    factor = min(1.0, LARGEST_SIDE / max(height, width))
    size = max(SMALLEST_SIDE, round(height * factor)), max(SMALLEST_SIDE, round(width * factor))
    seen = f"{'all' if most == all_of_them else 'most'} are {height} × {width}"
    channels = 1 if grey == all_of_them else 3
    are_of_size = most == all_of_them and size == (height, width)
    return ImageSurvey(size, channels, seen, are_of_size, bits if 8 <= bits < 16 else 16)


def contents_of(members: Members, items: Iterable[Item]) -> Iterator[bytes]:
    for item in items:
        with contextlib.suppress(UnreadableMember):
            yield members.reader.read(item.member)


def augmentation(channels: int) -> Lines:
    lines = [
        ("augmentation:", "in training only"),
        ("  - RandomTranslation: {height_factor: 0.1, width_factor: 0.1}", ""),
    ]
    if channels > 1:
        lines.append(("", "- RandomFlip: horizontal, if a mirrored image means the same: photos mostly gain by it"))
    return lines


def convolutions(size: tuple[int, int], filters: int, name: str = "") -> Lines:
    """Return blocks that halve the image until it is small, then a layer, called `name`, that makes it a vector."""
    lines: list[tuple[str, str]] = []
    side, width = min(size), filters
    while side >= SMALLEST_SIDE or not lines:
        lines += [
            (f"- Conv2D: {{filters: {width}, kernel_size: 3, padding: same, activation: relu}}", ""),
            ("- MaxPooling2D: 2", f"{size[0]} × {size[1]} become {size[0] // 2} × {size[1] // 2}"),
        ]
        size = size[0] // 2, size[1] // 2
        side, width = min(size), min(2 * width, 128)
    last = "GlobalAveragePooling2D" if max(size) > SMALLEST_SIDE else "Flatten"
    return [*lines, (f"- {last}: {{name: {name}}}" if name else f"- {last}", "")]


def draft_audio(members: Members, found: Labelled, given: str) -> Draft:
    items = found.parts["training"]
    every = [item.member for item in chain.from_iterable(found.parts.values())]
    headers = headers_of(replace(members, members=tuple(every)))
    rate, seconds, lengths = length_of(headers)
    layer, (bands, frames) = spectrogram(rate, seconds)
    median = f"half last up to {np.median(lengths):.2g} s, nine of ten {seconds:g} s: longer ones are cut"
    data = [
        (f"source: {{audio: {{{given}, seconds: {seconds:g}, rate: {rate}}}}}", median),
        *(speakers(items) or inner_folders(items)),
        *parts_line(found),
        ("preprocessing:", ""),
        (f"  - MelSpectrogram: {{{layer}}}", "below 1e-5 is silence"),
        ("  - Normalization: {axis: 1}", "each band has mean 0 and standard deviation 1 over the training split"),
        ("  - Reshape: {target_shape: [" + f"{bands}, -1, 1]}}", "an image of one channel"),
    ]
    classes = Counter(item.label for item in items)
    layers = [*convolutions((bands, frames), 16), *CLASSIFIER]
    return class_draft(members.path, counted(len(every), "audio clip"), classes, data, layers, MEDIA)


def length_of(headers: Sequence[ClipHeader]) -> tuple[int, float, np.ndarray]:
    """Return the most frequent rate, the seconds that nine of ten clips do not exceed, and the seconds of each."""
    rate = Counter(header.rate for header in headers).most_common(1)[0][0]
    lengths = np.array([header.frames / header.rate for header in headers])
    return rate, float(np.clip(np.ceil(10 * np.quantile(lengths, 0.9)) / 10, 0.1, 10)), lengths


def spectrogram(rate: int, seconds: float) -> tuple[str, tuple[int, int]]:
    """Return the arguments of MelSpectrogram, and the (bands, frames) that it gives."""
    # Windows of 32 ms, half as far apart, as is usual for speech; FFTs want powers of two.
    window = 2 ** round(np.log2(rate * 0.032))
    bands = min(MEL_BANDS, window // 4)
    arguments = (
        f"fft_length: {window}, sequence_stride: {window // 2}, sampling_rate: {rate}, num_mel_bins: {bands}, "
        "min_power: 1e-5, top_db: 150"
    )
    return arguments, (bands, max(1, round(seconds * rate) // (window // 2)))


def speakers(items: tuple[Item, ...]) -> Lines:
    """Return a remark if file names begin with few words that come in several classes, as with speakers."""
    stems = [Path(item.member.name).stem.rpartition("_") for item in items]
    names = Counter(stem for stem, _, _ in stems)
    classes = {(stem, item.label) for (stem, _, _), item in zip(stems, items, strict=True)}
    if "" in names or not 1 < len(names) <= len(items) / 4 or len(classes) < 2 * len(names):
        return []
    shown, ending = in_comments(sorted(names)), Path(items[0].member.name).suffix
    return [
        ("", f"File names begin with {shown}: if these are speakers, a test of unknown speakers takes"),
        ("", f'  pattern: "{{class}}/{{speaker}}_{{number}}{ending}" in the source, and group: speaker in the split.'),
    ]


def inner_folders(items: Sequence[Item]) -> Lines:
    """Return a remark on folders below the classes, which may be the classes, or belong together."""
    inner = {Path(item.member.name).parent.name for item in items} - {item.label for item in items}
    if len(inner) < 2 or any(split_in(folder)[0] for folder in inner):
        return []
    shown = in_comments(sorted(inner, key=natural_key))
    return [
        ("", f"The classes have folders in them, {shown}. If these are the classes, take"),
        ("", '  pattern: "{class}/{file}.{ending}" in the source; if each is one scene, or of one person, take'),
        ("", '  pattern: "{class}/{scene}/{file}.{ending}", and group: scene in the split.'),
    ]


def draft_texts(path: Path, named: str) -> Draft:
    options, found, are_classes = read_texts(path)
    given = f"path: {named}" + (f", encoding: {options.encoding}" if options.encoding != "utf-8" else "")
    given += f", pattern: {scalar(options.pattern)}" if options.pattern else ""
    classes = Counter(map(str, found.training.targets[ONE_TARGET][:]))
    are_numbered = len(classes) > MOST_NUMBERED and len({NUMBER.sub("", name) for name in classes}) == 1
    if are_classes and (are_numbered or 2 * [*classes.values()].count(1) > len(classes)):
        message = f"the files of {path} are no classes: they are numbered, or most of them have one line"
        raise DataError(message, ways_to_classes(path, "text"))
    data = [
        (f"source: {{text: {{{given}}}}}", ""),
        *parts_line(found),
        *words_of(found.training.inputs["text"]),
    ]
    examples = counted(sum(map(len, found.parts.values())), "text")
    return class_draft(path, examples, classes, data, [*TEXT_LAYERS, CLASSES], TEXTS)


def read_texts(path: Path) -> tuple[TextSource, SourceExamples, bool]:
    """Read the texts in UTF-8 if all files are, else in their encoding. Return also whether each file is a class."""
    members = open_members(str(path), ())
    names = [member.name for member in members.members]
    are_flat = len({name.rpartition("/")[0] for name in names}) == 1
    pattern = pattern_in(names) if are_flat else None
    are_classes = are_flat and pattern is None
    options = TextSource(path=str(path), pattern=pattern)
    try:
        return options, load_texts(options, ()), are_classes
    except DataError:
        encoding = encoding_of(members)
        if encoding == options.encoding:
            raise
    options = options.model_copy(update={"encoding": encoding})
    return options, load_texts(options, ()), are_classes


def encoding_of(members: Members) -> str:
    """UTF-16 by its mark, else the first of the usual ones that all files can be read in."""
    contents = [members.read(member) for member in members.members]
    marked = [BYTE_ORDER_MARKS[content[:2]] for content in contents if content[:2] in BYTE_ORDER_MARKS]
    for encoding in ("utf-8", "cp1252") if not marked else ():
        with contextlib.suppress(UnicodeDecodeError):
            for content in contents:
                content.decode(encoding)
            return encoding
    return marked[0] if marked else "latin-1"


def words_of(texts: Rows) -> Lines:
    """Preprocessing: as many words of a text as nearly all have."""
    sample = texts[np.linspace(0, len(texts) - 1, min(len(texts), 10 * SAMPLE)).astype(int)]
    is_unspaced = are_unspaced(sample)
    counts = np.array([len(text) if is_unspaced else len(text.split()) for text in map(str, sample)])
    length = int(np.clip(np.quantile(counts, 0.95), 4, 400))
    split, what = (", split: character", "characters") if is_unspaced else ("", "words")
    rest = f"; what follows the first {length:,} is cut off" if counts.max() > length else ""
    layer = f"TextVectorization: {{max_tokens: {MOST_TOKENS}, output_sequence_length: {length}{split}}}"
    return [
        ("preprocessing:", ""),
        (f"  - {layer}", f"texts have a median of {int(np.median(counts)):,} {what}, {counts.max():,} at most{rest}"),
    ]


def are_unspaced(texts: Iterable[Any]) -> bool:
    """Return whether most texts are of a script without spaces between words, or sequences such as of DNA."""
    return bool(np.median([is_unspaced(str(text)) for text in texts] or [False]))
