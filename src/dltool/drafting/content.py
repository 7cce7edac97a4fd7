"""What a file is by how it begins, whatever its name: the kind of a table, or something that is none."""

import re
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from dltool.data.tables.decompression import reading, stored, unpacked
from dltool.data.tables.excel_file import SAVE_AS
from dltool.data.tables.json_lines import TO_CSV
from dltool.errors import DataError

MOST_READ = 1_024
PANDAS = "in Python: import pandas; pandas."
SVMLIGHT = (
    'in Python: import pandas, sklearn.datasets; x, y = sklearn.datasets.load_svmlight_file("FILE"); '
    f"pandas.DataFrame(x.toarray()).assign(target=y){TO_CSV}"
)
UNPACK = "unpack it, and name the file or folder in it"
KINDS: Mapping[str, str] = {
    r"SQLite format 3\0": "sql",
    r"PAR1": "parquet",
    r"ARROW1": "feather",
    r"ORC": "orc",
    r".{257}ustar": "tar",
    r'\s*(\[\s*)?\{\s*("[^"\n]*"\s*:|\})|\s*\[\s*\[': "json_lines",
}
"""Patterns of the beginning of tables and archives, with the source that reads them."""
FOREIGN: Mapping[str, tuple[str, str]] = {
    r"%PDF-": ("a PDF document", "save its table as CSV"),
    r"\xd0\xcf\x11\xe0": ("a workbook or document of an old kind", SAVE_AS),
    r"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis": ("a workbook or document of another kind than .xlsx", SAVE_AS),
    r"(?i)\s*<(!doctype html|html|head|body|table|div)": ("a web page", f'{PANDAS}read_html("FILE")[0]{TO_CSV}'),
    r"<stata_dta>|[i-s][\x01\x02]\x01\0": ("a Stata file", f'{PANDAS}read_stata("FILE"){TO_CSV}'),
    r"\s*<": ("an XML file", f'{PANDAS}read_xml("FILE"){TO_CSV}'),
    r"\x93NUMPY": ("a NumPy array", "`dltool init two-outputs` shows a config for arrays"),
    r"\x89HDF\r\n": ("an HDF5 file", f'{PANDAS}read_hdf("FILE"){TO_CSV}'),
    r"\x80[\x02-\x05]": ("a pickle, which may run any code", f'{PANDAS}read_pickle("FILE"){TO_CSV}'),
    r"MATLAB 5\.0 MAT-file": (
        "a MATLAB file",
        f'in Python: import pandas, scipy.io; pandas.DataFrame(scipy.io.loadmat("FILE")["MATRIX"]){TO_CSV}',
    ),
    r"\$FL[23]@\(#\)": ("an SPSS file", f'{PANDAS}read_spss("FILE"){TO_CSV}'),
    r"\0{12}\xc2\xea\x81\x60": ("a SAS file", f'{PANDAS}read_sas("FILE", format="sas7bdat"){TO_CSV}'),
    r"HEADER RECORD\*{7}LIB": ("a SAS transport file", f'{PANDAS}read_sas("FILE", format="xport"){TO_CSV}'),
    r"[XA]\n\0\0\0[\x02\x03]": ("an R object", 'in R: write.csv(readRDS("FILE"), "data.csv", row.names = FALSE)'),
    r"RD[XA][23]\n": ("a file of R objects", 'in R: load("FILE"); write.csv(OBJECT, "data.csv", row.names = FALSE)'),
    r"7z\xbc\xaf|Rar!|\x1f[\x9d\xa0]|\x04\x22\x4d\x18": ("compressed in a way that is not read", UNPACK),
    r"\xff\xd8\xff|\x89PNG|GIF8|II\*\0|MM\0\*|RIFF|OggS|fLaC|ID3": (
        "an image or audio clip, and no table",
        "name the folder in which it is, or a table of file names",
    ),
    r"-?[\d.]+( \d+:\S+)+[ \t]*\r?\n": ("a file of svmlight, INDEX:VALUE …", SVMLIGHT),
}
"""Patterns of the beginning of other files: what they are, and what to do."""
WORKBOOKS = (".xlsb", ".ods", ".numbers")


def kind_of_content(path: Path) -> str:
    """Return the source that reads a file, "zip" or "tar", by how it begins; empty if that says nothing. Raises
    DataError: it is something else than a table or an archive, or damaged."""
    if path.is_dir():
        return ""
    with reading(path, ()), unpacked(path) as file:
        beginning = file.read(MOST_READ).removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    for pattern, kind in KINDS.items():
        if re.match(pattern, beginning, re.DOTALL):
            return kind
    for pattern, (what, hint) in FOREIGN.items():
        if re.match(pattern, beginning, re.DOTALL):
            raise DataError(f"{path.name} is {what}", hint.replace("FILE", path.name))
    if path.suffix.lower() in WORKBOOKS:
        raise DataError(f"{path.name} is a workbook of another kind than .xlsx", SAVE_AS)
    return kind_of_zip(path) if beginning.startswith("PK\x03\x04") else ""


def kind_of_zip(path: Path) -> str:
    """Return "excel" for a workbook, "zip" for other archives, even damaged ones. Raises DataError: it holds arrays."""
    try:
        with stored(path) as file, ZipFile(file) as archive:
            names = archive.namelist()
    except (BadZipFile, OSError):
        return "zip"
    if names and all(name.endswith(".npy") for name in names):
        raise DataError(f"{path.name} holds NumPy arrays", "`dltool init two-outputs` shows a config for arrays")
    return "excel" if "xl/workbook.xml" in names else "zip"
