"""Files of an explanation in a run directory, and what the report shows of them. Reading them trusts none of them."""

import io
from collections.abc import Mapping, Sequence

import numpy as np

from dltool.explain.explained import Explained
from dltool.report.page import PageSection, render, render_page
from dltool.report.sections import ReportSection
from dltool.runs.files import encode_json

NUMBERS, EXAMPLES, FIGURES = "explanation.json", "examples.npz", "figures"
TITLE = "What the model looks at"


def explanation_files(found: Sequence[Explained]) -> Mapping[str, bytes]:
    """Return the files of an explanation by path below its folder."""
    record = {"explanations": [each.record() for each in found]}
    buffer = io.BytesIO()
    arrays = {name: array for each in found for name, array in each.arrays.items()}
    np.savez_compressed(buffer, **arrays)
    figures = {f"{FIGURES}/{figure.name}.svg": figure.svg.encode() for each in found for figure in each.figures}
    return {
        NUMBERS: (encode_json(record, indent=2) + "\n").encode(),
        **({EXAMPLES: buffer.getvalue()} if arrays else {}),
        **figures,
    }


def explanation_sections(found: Sequence[Explained]) -> tuple[ReportSection, ...]:
    """Return a section for each method. A method of which a proof fails has its sentence and no figure."""
    return tuple(
        ReportSection(
            f"explanation-{number}",
            f"{TITLE}: {each.method}",
            [*each.sentences, *(proof.sentence for proof in each.proofs)],
            each.figures,
            each.caption,
            each.rows,
        )
        for number, each in enumerate(found, 1)
    )


def explanation_page(run: str, found: Sequence[Explained]) -> str:
    """Return a page of its own. `run` is the path of the run."""
    sections = [
        PageSection(each.name, each.title, render("section.html", section=each)) for each in explanation_sections(found)
    ]
    about = found[0].about if found else ""
    return render_page(f"{run}: {TITLE}", render("explanation_header.html", run=run, about=about), sections)
