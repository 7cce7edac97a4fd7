"""How the dates of a column are written: :func:`date_of` reads one, `DateWriting` finds the format of a column."""

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import product

from dltool.config.columns import UNIX
from dltool.data.dates import SECONDS_A_DAY
from dltool.data.tables.cells import EPOCH, FIRST_DATE, LAST_DATE, NO_DATE
from dltool.data.tables.number_format import MOST_ODD, SAMPLE, USUAL_SHARE, TextSurvey

CLOCK = r"\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?"
ISO_DATE = re.compile(rf"\d{{4}}-(\d{{2}}(-\d{{2}}([T ]({CLOCK}|\d{{2}}))?)?|W\d{{2}}(-\d)?)|\d{{4}}W\d{{2}}", re.ASCII)
ISO_MONTH, ISO_MINUTE = 7, 16
"""Characters of 1949-01, and of 1949-01-01 00:00, which has no zone."""
PLAIN_EPOCH = EPOCH.replace(tzinfo=None)
INTEGER = re.compile(r"-?\d{1,19}(\.\d*)?", re.ASCII)
QUARTER = re.compile(r"(?<=[Qq])[1-4](?!\d)|(?<!\d)[1-4](?=[Qq])", re.ASCII)
TIME = re.compile(
    r"(?:(?<![\w.:])|(?<=\dT)|(?<=[A-Za-z/]\d{4}:))"
    r"(?:\d{1,2}(?P<minute>:\d{2}|(?<= \d)[.h]\d{2}|(?<= \d\d)[.h]\d{2})(?P<second>[:.]\d{2})?(?P<part>[.,]\d{1,6})?"
    r"|\d{1,2}(?= ?[AaPp][Mm]))"
    r"(?P<half> ?[AaPp][Mm])?(?P<space> ?)(?P<zone>Z|[+-]\d{2}:?\d{2}|(?!of|at)[A-Z]{2,5})?(?![\w.:])",
    re.ASCII,
)
SPOKEN = re.compile(
    r"(?<=\d)(?:st|nd|rd|th)\b|(?<=\b[Ss][Ee][Pp])[Tt]\b|(?<=\b[AaPp])\.(?=[Mm]\.)|(?<=\b[AaPp]\.[Mm])\."
)
"""Ends of words without which strptime reads them: 1st, Sept, a.m."""
CODE = re.compile("%([a-zA-Z])")
PIECE = re.compile(r"\0|\d+|[^\W\d_]+|.")
LITERALS = (*"qtm年月日년월일", "of", "at")
PUNCTUATION = " ,./-_:'[]"
MONTHS = tuple(datetime(2000, month, 1, tzinfo=UTC).strftime("%B").lower() for month in range(1, 13))
DAYS = tuple(datetime(2001, 1, day, tzinfo=UTC).strftime("%A").lower() for day in range(1, 8))
ORDERS = ("dmy", "mdy", "ymd", "dmY", "mdY", "Ymd", "mY", "Ym", "by", "bY", "Yb", "qy", "qY", "Yq", "yq", "Yj")
"""Of a month in digits and a year of two, one may as well be a day."""
MOST_PIECES = 16
FEW = 20
"""Texts that suggest formats; after `SAMPLE` texts the unlikely ones are dropped."""


def date_of(text: str, written: str | None = None) -> int:
    """Return seconds since 1970-01-01T00:00, rounded down, or NO_DATE. A time with a zone is converted to UTC.
    `written` is a format of strptime, in which `%q` is a quarter, or one of `UNIX`; ISO 8601 by default."""
    try:
        if written is not None and written in UNIX:
            seconds = int(text.partition(".")[0]) // UNIX[written] if INTEGER.fullmatch(text) else NO_DATE
            return seconds if FIRST_DATE <= seconds <= LAST_DATE else NO_DATE
        if written is not None:
            of_month = written.replace("%q", "%m")
            moment = datetime.strptime(in_months(SPOKEN.sub("", text), written), of_month)  # noqa: DTZ007 - it may have a zone
        elif ISO_DATE.fullmatch(text):
            whole = f"{text}-01" if len(text) == ISO_MONTH and "W" not in text else text
            if len(whole) > ISO_MINUTE:
                whole = whole.replace(" Z", "Z").replace(" +", "+").replace(" -", "-")
            moment = datetime.fromisoformat(whole)
        else:
            return NO_DATE
    except ValueError:
        return NO_DATE
    since = moment - (PLAIN_EPOCH if moment.tzinfo is None else EPOCH)
    seconds = since.days * SECONDS_A_DAY + since.seconds
    return seconds if FIRST_DATE <= seconds <= LAST_DATE else NO_DATE


def in_months(text: str, written: str) -> str:
    """Return the text with the first month of its quarter instead of the quarter, if the format has one."""
    if "%q" not in written:
        return text
    months, quarters = QUARTER.subn(lambda match: f"{3 * int(match[0]) - 2:02}", text, count=1)
    return months if quarters else ""


class DateWriting(TextSurvey):
    """What the texts of a column say about the format of its dates; None is ISO 8601."""

    def __init__(self, *formats: str) -> None:
        """Read nothing yet; `formats` are looked for besides those that the texts suggest."""
        super().__init__()
        self.read: dict[str | None, int] = dict.fromkeys((None, *formats), 0)
        self.texts = 0
        self.earliest, self.latest = LAST_DATE, FIRST_DATE
        self.years: defaultdict[str | None, set[int]] = defaultdict(set)

    def add(self, text: str, count: int = 1) -> None:
        self.cells += count
        self.texts += 1
        if self.texts <= FEW:
            self.read |= {each: 0 for each in formats_of(text) if each not in self.read}
        elif self.texts == SAMPLE:
            # strptime keeps five formats only, and is many times slower with more.
            likely = USUAL_SHARE * max(self.read.values())
            self.read = {each: count for each, count in self.read.items() if count >= likely or each is None}
        moments = {each: date_of(text, each) for each in self.read}
        fitting = [each for each, moment in moments.items() if moment != NO_DATE]
        for each in fitting:
            self.read[each] += count
            self.earliest, self.latest = min(self.earliest, moments[each]), max(self.latest, moments[each])
            if "%y" in (each or ""):
                self.years[each].add(time.gmtime(moments[each]).tm_year)
        self.example = self.example or (text if fitting else "")
        if not fitting:
            self.add_odd(text, count)

    def formats(self) -> list[str | None]:
        """Return the formats that read nearly all cells: several if the cells do not say what is the day and what the
        month; those with points or hyphens begin with the day, others with the month. Days read as years of two
        digits would be many years: the format of the fewest comes first, of as many the one that ends with it."""
        most = max(self.read.values())
        if not most or most < USUAL_SHARE * self.cells or len(self.odd) > MOST_ODD:
            return []
        if self.read[None] == most:
            return [None]
        best = [each for each, count in self.read.items() if count == most and each is not None]

        def rank(each: str) -> tuple[bool, int, bool, bool, int]:
            years, is_usual = len(self.years[each]), each.startswith("%d") != ("/" in each)
            return each in UNIX, years, each.startswith("%y"), not is_usual, len(each)

        return [*sorted(best, key=rank)]


def date_formats(texts: Iterable[str]) -> list[str]:
    """Return the formats of the dates of a column of these texts: :meth:`DateWriting.formats`."""
    writing = DateWriting()
    return [each for each in writing.formats() if each is not None] if writing.add_likely(texts) else []


def formats_of(text: str) -> Iterator[str]:
    """Yield the formats in which a text may be a date, other than ISO 8601."""
    text = SPOKEN.sub("", text)
    clock = TIME.search(text)
    day = text if clock is None else f"{text[: clock.start()]}\0{text[clock.end() :]}"
    pieces = PIECE.findall(day)
    if len(pieces) > MOST_PIECES:
        return
    around = zip(["", *pieces], pieces, [*pieces[1:], ""], strict=False)
    choices = [("\0",) if piece == "\0" else codes_of(piece, before, after) for before, piece, after in around]
    for codes in product(*choices):
        parts = CODE.findall("".join(codes))
        order = "".join(part for part in parts if part in "dmbBYyqj").replace("B", "b")
        is_date = order in ORDERS or order.replace("b", "m") in ORDERS[:6]
        # A time of four or six digits comes after a whole day.
        if is_date and ("H" not in parts or (not clock and "d" in parts)):
            yield "".join(codes).replace("\0", "" if clock is None else format_of_time(clock))


def codes_of(piece: str, before: str, after: str) -> tuple[str, ...]:
    """Return what a piece of a date may be in strptime's format; nothing if it is part of no date."""
    if piece.isdecimal():
        if len(piece) == 1 and {before, after} & {"Q", "q"}:
            return ("%q",)
        is_time = before != "" and before in "Tt_ "
        times = {4: ("%H%M",), 6: ("%H%M%S",)}.get(len(piece), ()) if is_time else ()
        days = {1: ("%d", "%m"), 2: ("%d", "%m", "%y"), 3: ("%j",), 4: ("%Y",), 6: ("%Y%m",), 8: ("%Y%m%d",)}
        return days.get(len(piece), ()) + times
    word = piece.lower()
    if not piece.isalpha():
        return (piece,) if piece in PUNCTUATION else ()
    names = (("%B", MONTHS), ("%A", DAYS))
    whole = [code for code, words in names if word in words]
    literal = (piece,) if word in LITERALS else ()
    return (*literal, *whole, *(code.lower() for code, words in names if word in [each[:3] for each in words]))


def format_of_time(clock: re.Match[str]) -> str:
    zone = clock["zone"] or ""
    minute, second, part = clock["minute"] or "", clock["second"] or "", clock["part"] or ""
    return "".join(
        [
            "%I" if clock["half"] else "%H",
            minute and f"{minute[0]}%M",
            second and f"{second[0]}%S",
            part and f"{part[0]}%f",
            "" if not clock["half"] else clock["half"][:-2] + "%p",
            clock["space"],
            # strptime knows few names of zones.
            "%z" if zone[:1] in ("Z", "+", "-") and zone else zone,
        ]
    )
