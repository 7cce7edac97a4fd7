import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.wav_files import sound, wav

from dltool.config.file_columns import AudioColumn
from dltool.config.folder_sources import AudioSource
from dltool.data.examples import SourceExamples
from dltool.data.media import audio
from dltool.data.media.audio import CLIPS
from dltool.data.media.codecs import AudioForm
from dltool.data.media.load import DecodedFiles, files_named, load_class_folders
from dltool.data.media.rows import DecodedRows
from dltool.errors import DataError, Problem

SOURCE = ("data", "source")
PLACE = (*SOURCE, "audio", "path")
COLUMN = ("data", "inputs", "voice")
CACHE = 10**9


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def two_classes(folder: Path) -> Path:
    return written(
        folder, {"no/a_1.wav": sound([0.5, 0.25]), "yes/b_1.wav": sound([-0.5]), "yes/a_2.wav": sound([0.125])}
    )


def load_audio(options: AudioSource) -> SourceExamples:
    return load_class_folders(CLIPS, options, SOURCE, CACHE)


def load_column(paths: np.ndarray, folder: Path, options: AudioColumn) -> DecodedFiles:
    return CLIPS.decode(files_named(paths, folder, options, COLUMN, "audio clip"), options, len(paths), CACHE, True)


def form_of(loaded: SourceExamples) -> AudioForm:
    options = loaded.inferred["source"].options
    return AudioForm(options.rate, round(options.seconds * options.rate))


def problem_of(options: AudioSource) -> Problem:
    with pytest.raises(DataError) as error:
        load_audio(options)
    (problem,) = error.value.problems
    assert problem.place == PLACE
    return problem


def test_recordings_are_as_long_as_the_longest(tmp_path):
    loaded = load_audio(AudioSource(path=str(two_classes(tmp_path))))
    part = loaded.training
    labels = part.targets["target"]
    assert isinstance(labels, np.ndarray)
    assert labels.tolist() == ["no", "yes", "yes"]
    assert part.inputs["audio"][:].tolist() == [[0.5, 0.25], [0.125, 0], [-0.5, 0]]
    assert part.inputs["audio"].dtype == np.float32
    assert (part.place, part.name) == (PLACE, f"the training split of {tmp_path.name}")
    assert form_of(loaded) == AudioForm(8000, 2)


def test_recordings_are_cut_to_the_seconds_asked_for(tmp_path):
    loaded = load_audio(AudioSource(path=str(two_classes(tmp_path)), seconds=1 / 8000))
    assert loaded.training.inputs["audio"][:].tolist() == [[0.5], [0.125], [-0.5]]


def test_the_form_as_options_gives_the_same_form(tmp_path):
    loaded = load_audio(AudioSource(path=str(two_classes(tmp_path))))
    options = AudioSource(path=str(tmp_path), rate=form_of(loaded).rate, seconds=form_of(loaded).seconds)
    assert form_of(load_audio(options)) == form_of(loaded)


def test_a_pattern_gives_columns_by_which_to_group(tmp_path):
    options = AudioSource(path=str(two_classes(tmp_path)), pattern="{class}/{speaker}_{number}.wav")
    columns = load_audio(options).training.columns
    assert {name: np.asarray(values).tolist() for name, values in columns.items()} == {
        "speaker": ["a", "a", "b"],
        "number": ["1", "2", "1"],
    }


def test_other_rates_are_converted_to_that_of_the_first(tmp_path):
    tone = np.sin(np.arange(800) * 0.1) / 2
    written(tmp_path, {"a/1.wav": sound(tone), "b/1.wav": sound(np.repeat(tone, 2), rate=16000)})
    loaded = load_audio(AudioSource(path=str(tmp_path)))
    low, high = loaded.training.inputs["audio"][:]
    assert form_of(loaded) == AudioForm(8000, 800)
    np.testing.assert_allclose(low[50:-50], high[50:-50], atol=0.03)


def test_only_training_recordings_decide_the_form(tmp_path):
    written(
        tmp_path,
        {
            "test/a/1.wav": sound([0.5] * 9, rate=16000),
            "test/b/1.wav": sound([0.5]),
            "train/a/1.wav": sound([0.5]),
            "train/b/1.wav": sound([0.5] * 2),
        },
    )
    loaded = load_audio(AudioSource(path=str(tmp_path)))
    assert form_of(loaded) == AudioForm(8000, 2)
    assert loaded.parts["test"].inputs["audio"].shape == (2, 2)


def test_all_damaged_recordings_are_listed(tmp_path):
    folder = two_classes(tmp_path)
    written(folder, {"no/cut.wav": sound([0.5] * 9)[:-4], "yes/text.wav": b"hello"})
    assert problem_of(AudioSource(path=str(folder))).message == (
        f"2 audio clips in {folder} cannot be used: no/cut.wav (cut off: expected 18 bytes of sound, found 14); "
        "yes/text.wav (not a WAV file)"
    )


def test_samples_that_are_no_numbers_are_found_before_training(tmp_path):
    folder = two_classes(tmp_path)
    written(folder, {"no/nan.wav": wav(np.array([np.nan], "<f4").tobytes(), sample_bytes=4, codec=3)})
    assert "no/nan.wav (damaged: it has samples that are NaN" in problem_of(AudioSource(path=str(folder))).message


def test_one_very_long_recording_needs_the_seconds(tmp_path):
    folder = two_classes(tmp_path)
    written(folder, {"no/long.wav": wav(bytes(2 * 100 * 61), rate=100), "yes/short.wav": wav(bytes(200), rate=100)})
    problem = problem_of(AudioSource(path=str(folder), rate=100))
    assert problem.message == "no/long.wav has 61.0 seconds"
    assert problem.hint.startswith("set the length of the audio clips, such as seconds: 0.1 ")
    assert form_of(load_audio(AudioSource(path=str(folder), seconds=61, rate=100))).samples == 6100


def test_recordings_beyond_the_budget_are_decoded_when_asked_for(cache, tmp_path, monkeypatch):
    written(tmp_path, {f"{row % 2}/{row}.wav": sound([row / 100, 0.5]) for row in range(40)})
    options = AudioSource(path=str(tmp_path))
    here = load_audio(options).training.inputs["audio"]
    monkeypatch.setattr(audio, "BUDGET", 100)
    there: Any = load_audio(options).training.inputs["audio"]
    assert isinstance(there.rows, DecodedRows)
    assert (there.shape, there.dtype, len(there)) == (here.shape, here.dtype, len(here))
    rows = np.array([7, 3, 3, 39])
    np.testing.assert_array_equal(there[rows], here[rows])
    np.testing.assert_array_equal(there[5:9], here[5:9])


def test_a_recording_that_is_damaged_later_is_named(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "BUDGET", 8)
    written(tmp_path, {f"{row % 2}/{row}.wav": sound([0.25, 0.5]) for row in range(4)})
    rows = load_audio(AudioSource(path=str(tmp_path))).training.inputs["audio"]
    (tmp_path / "1/3.wav").write_bytes(b"RIFF" + bytes(44))
    with pytest.raises(DataError, match=r"1 audio clip in .* cannot be used: 1/3.wav \(it has changed"):
        rows[np.arange(4)]


def test_recordings_that_are_not_in_memory_are_told_by_their_contents(cache, tmp_path, monkeypatch):
    options = AudioSource(path=str(two_classes(tmp_path)))
    assert not load_audio(options).training.digests
    monkeypatch.setattr(audio, "BUDGET", 8)

    def digests() -> np.ndarray:
        return load_audio(options).training.digests["audio"]

    before = digests()
    assert (before.shape, before.dtype.name) == ((len(before), 32), "uint8")
    os.utime(tmp_path / "no/a_1.wav", ns=(0, 0))
    np.testing.assert_array_equal(digests(), before)
    written(tmp_path, {"no/a_1.wav": sound([0.5])})
    assert (digests() != before).any(axis=1).sum() == 1


def test_a_column_of_a_table_names_recordings(tmp_path):
    written(tmp_path, {"a.wav": sound([0.5, 0.25]), "more/b.wav": sound([-0.5], rate=8000)})
    paths = np.array(["more/b.wav", "a.wav", "a.wav"], dtype=object)
    sounds = load_column(paths, tmp_path, AudioColumn(seconds=3 / 8000))
    assert sounds.rows[:].tolist() == [[-0.5, 0, 0], [0.5, 0.25, 0], [0.5, 0.25, 0]]
    assert sounds.inferred == {"rate": 8000, "seconds": 3 / 8000}


def test_rows_that_name_no_recording_are_listed(tmp_path):
    written(tmp_path, {"a.wav": sound([0.5])})
    with pytest.raises(DataError) as error:
        load_column(np.array(["a.wav", "", "b.wav"], dtype=object), tmp_path, AudioColumn(seconds=1))
    (problem,) = error.value.problems
    message = "2 rows name no audio clip: row 1: the path is blank; row 2: no such file: b.wav (that folder has a.wav)"
    assert (problem.place, problem.message) == (COLUMN, message)


def test_too_short_to_be_a_sample_is_refused(tmp_path):
    assert "are not one sample" in problem_of(AudioSource(path=str(two_classes(tmp_path)), seconds=1e-5)).message


@pytest.mark.parametrize("asked", [{"seconds": 1e9}, {"rate": 10**6, "seconds": 1000}])
def test_more_samples_than_can_be_meant_are_refused(tmp_path, asked):
    options = AudioSource(path=str(two_classes(tmp_path)), **asked)
    assert "expected at most 100,000,000" in problem_of(options).message


def test_damaged_clips_are_left_out_and_named_if_the_config_says_so(tmp_path):
    path = two_classes(tmp_path)
    (path / "no" / "c.wav").write_bytes(b"nothing")
    loaded = load_audio(AudioSource(path=str(path), on_error="skip"))
    assert loaded.warnings == ("1 audio clip cannot be read and is left out: no/c.wav",)
    assert len(loaded.training) == 3
