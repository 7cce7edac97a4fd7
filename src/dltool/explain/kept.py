"""Files of an explanation in a run directory, and what the report shows of them. Reading them trusts none of them."""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from dltool.errors import RunError
from dltool.evaluation.stored import EXAMPLES, FIGURES, kept_figures, row_of
from dltool.explain.explained import Explained
from dltool.report.page import PageSection, render, render_page
from dltool.report.sections import ReportSection
from dltool.runs.files import Run, encode_json
from dltool.runs.records import KeptFigure, Lenient, Words, first_mappings, read

NUMBERS = "explanation.json"
TITLE = "What the model looks at"
MOST_ROWS = 300


class KeptProof(Lenient):
    sentence: Words = ""


class KeptExplanation(Lenient):
    """One method in explanation.json."""

    method: Words = ""
    about: Words = ""
    sentences: list[Words] = Field(default_factory=list)
    proofs: Annotated[list[KeptProof], first_mappings(20)] = Field(default_factory=list)
    caption: Words = ""
    rows: Annotated[list[dict[str, Any]], first_mappings(MOST_ROWS)] = Field(default_factory=list)
    figures: Annotated[list[KeptFigure], first_mappings(20)] = Field(default_factory=list)


class KeptExplanations(Lenient):
    """explanation.json."""

    explanations: Annotated[list[KeptExplanation], first_mappings(10)] = Field(default_factory=list)


def write_explanation(run: Run, name: str, found: Sequence[Explained]) -> None:
    """Write the files of an explanation into its folder of the run. Raises MachineError, and RunError for a link."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: array for each in found for name, array in each.arrays.items()}
    np.savez_compressed(buffer, **arrays)
    record = {"explanations": [each.record() for each in found]}
    figures = {f"{FIGURES}/{figure.name}.svg": figure.svg.encode() for each in found for figure in each.figures}
    numbers = (encode_json(record, indent=2) + "\n").encode()
    run.replace_folder(run.explanation / name, {NUMBERS: numbers, EXAMPLES: buffer.getvalue(), **figures})


def kept_sections(run: Run) -> Iterator[ReportSection]:
    """Yield the sections of the report on the explanations of held-out examples in a run, if there are any."""
    for folder in (run.explanation / "test", run.explanation / "validation"):
        # A damaged explanation is none.
        with contextlib.suppress(RunError):
            for each in read(run, folder / NUMBERS, KeptExplanations).explanations:
                figures = list(kept_figures(run, folder, each.figures))
                yield section(each, figures, [proof.sentence for proof in each.proofs], list(map(row_of, each.rows)))
            return


def section(
    found: Explained | KeptExplanation,
    figures: Sequence[Any],
    proofs: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> ReportSection:
    """Return what a page shows of one method. If a proof fails, its sentence stands in place of figures."""
    name = f"explanation-{found.method.replace(' ', '-')}"
    paragraphs = [f"Explained: {found.about}.", *found.sentences, *proofs]
    return ReportSection(
        name, f"{TITLE}: {found.method}", paragraphs, figures, found.caption, rows, follows_results=True
    )


def explanation_page(run: str, found: Sequence[Explained]) -> str:
    """Return a page of its own. `run` is the path of the run."""
    made = [section(each, each.figures, [proof.sentence for proof in each.proofs], each.rows) for each in found]
    sections = [PageSection(each.name, each.title, render("section.html", section=each)) for each in made]
    header = render("explanation_header.html", run=run, about=found[0].about)
    return render_page(f"{run}: {TITLE}", header, sections)
