"""The functions of an ejected script that make inputs of columns, with those options alone that its columns have."""

from collections.abc import Sequence

from dltool.config.columns import BooleanColumn, CategoryColumn, DateColumn, NumberColumn, TextColumn
from dltool.data.tables.cells import FALSE, TRUE
from dltool.ejecting.ejected_run import Block
from dltool.ejecting.python_text import laid_out, mapping, text


def number_function(options: Sequence[NumberColumn], has_wide: bool) -> list[Block]:
    """Return the function `number`, and `signed_log` if a column needs it."""
    scales = [each.scale for each in options]
    fills = {each.missing for each in options} - {"error"}
    has_pieces, has_indicator = any(each.pieces for each in options), any(each.indicator for each in options)
    several = len({*scales}) > 1 or scales[0] != "standard"
    arguments = ["name"]
    arguments += ['fill="median"'] if fills - {"median"} else []
    arguments += ['scale="standard"'] if several else []
    arguments += ["pieces=None"] if has_pieces else []
    arguments += ["indicator=False"] if has_indicator else []
    arguments += ['dtype="float32"'] if has_wide else []
    kind = "dtype" if has_wide else '"float32"'
    lines = [
        f"def number({', '.join(arguments)}):",
        '    """Return numbers, filled and scaled by the statistics of the training rows."""',
        f'    values = table[name].astype("float64").to_numpy({kind})',
        "    missing = np.isnan(values)",
        '    known = values[train].astype("float64")',
        *fill_lines(fills),
        "    known = np.where(missing[train], fill, known)",
        "    values = np.where(missing, values.dtype.type(fill), values)",
        *(scale_lines(scales, has_wide) if {*scales} != {"none"} else []),
    ]
    if has_wide:
        lines.append('    values = values.astype("float32")')
    if has_pieces:
        lines += piece_lines({*scales} != {"none"})
    else:
        lines.append("    values = values[:, np.newaxis]")
    if has_indicator:
        lines += [
            "    if indicator:",
            "        values = np.concatenate([values, missing[:, np.newaxis]], axis=1)",
            '    return values.astype("float32")',
        ]
    else:
        lines.append("    return values")
    return [*([SIGNED_LOG] if "log" in scales else []), *([EDGES] if has_pieces else []), lines]


SIGNED_LOG = [
    "def signed_log(values):",
    "    return np.sign(values) * np.log1p(np.abs(values))",
]
EDGES = [
    "def edges_of(known, pieces):",
    '    """Return the edges of intervals: half of them quantiles of the values, half of',
    '    the distinct values."""',
    "    shares = np.linspace(0, 1, pieces // 2 + 1)",
    "    distinct = np.unique(known)",
    "    edges = [np.quantile(known, shares), np.quantile(distinct, shares)]",
    '    edges = np.unique(edges).astype("float32")',
    "    edges = edges[np.diff(edges, prepend=-np.inf) > np.finfo(np.float32).tiny]",
    "    return edges if len(edges) > 1 else np.array([edges[0], edges[0] + 1])",
]


def fill_lines(fills: set[object]) -> Block:
    if not fills - {"median"}:
        return ["    fill = np.nanmedian(known)"]
    lines = ['    if fill == "median":', "        fill = np.nanmedian(known)"]
    return [*lines, *(['    elif fill == "mean":', "        fill = np.nanmean(known)"] if "mean" in fills else [])]


def scale_lines(scales: Sequence[str], has_wide: bool) -> Block:
    """Return the lines that scale `values` by what is known of the training rows."""
    lines: Block = []
    if "log" in scales:
        change = [
            "known = signed_log(known)",
            'values = signed_log(values.astype("float64")).astype("float32")',
        ]
        only = {*scales} == {"log"}
        lines += [f"    {line}" for line in change] if only else ['    if scale == "log":', *(f"        {line}" for line in change)]
    centers = {
        "min_max": "known.min(), np.ptp(known)",
        "robust": "np.median(known), np.subtract(*np.percentile(known, [75, 25]))",
        "none": "0.0, 1.0",
    }
    used = [scale for scale in centers if scale in scales]
    usual = "known.mean(), known.std()"
    if not used:
        lines.append(f"    center, spread = {usual}")
    else:
        for number, scale in enumerate(used):
            word = "elif" if number else "if"
            lines += [f'    {word} scale == "{scale}":', f"        center, spread = {centers[scale]}"]
        lines += ["    else:", f"        center, spread = {usual}"]
    return [
        *lines,
        "    # The values may all be equal.",
        "    spread = spread if spread > 1e-12 * abs(center) else 1.0",
        "    values = (values - values.dtype.type(center)) / values.dtype.type(spread)",
    ]


def piece_lines(is_scaled: bool) -> Block:
    scaled = "(known - center) / spread" if is_scaled else "known"
    return [
        "    values = values[:, np.newaxis]",
        "    if pieces is not None:",
        f"        edges = edges_of({scaled}, pieces)",
        "        values = np.clip((values - edges[:-1]) / np.diff(edges), 0, 1)",
    ]


def category_function(options: Sequence[CategoryColumn], is_typed: bool) -> list[Block]:
    """Return the function `category`, which gives one-hot vectors, or indices for an embedding."""
    has_least = any(each.min_count > 1 for each in options)
    missing = {each.missing for each in options} - {"as_category"}
    has_strict = any(each.unknown == "error" for each in options)
    are_embedded = [each.embedding is not None for each in options]
    arguments = ["name"]
    arguments += ["min_count=1"] if has_least else []
    arguments += ['missing="as_category"'] if missing else []
    arguments += ['unknown="as_category"'] if has_strict else []
    arguments += ["is_embedded=False"] if any(are_embedded) else []
    cells = "table[name].map(as_text)" if is_typed else 'table[name].fillna("")'
    least = " and counts[text] >= min_count" if has_least else ""
    known = f"sorted(text for text in counts.index if text{least})"
    what = "indices" if all(are_embedded) else "one-hot vectors"
    first = "first if unknown is an error, else after the place of unknown ones" if has_strict else "after it those of the training rows"
    lines = [
        f"def category({', '.join(arguments)}):",
        f'    """Return {what}: the first place is for unknown categories, then come those of',
        '    the training rows in order."""' if not has_strict else '    the training rows in order. Without unknown ones, there is no such place."""',
        f"    texts = {cells}",
        "    counts = texts.iloc[train].value_counts()",
        f"    known = {known}",
    ]
    if not missing:
        lines.append('    known = ["", *known]')
    else:
        if "most_frequent" in missing:
            lines += [
                '    if missing == "most_frequent":',
                '        texts = texts.replace("", max(known, key=lambda text: counts[text]))',
            ]
        lines += ['    if missing == "as_category":', '        known = ["", *known]']
    start = 'int(unknown != "error")' if has_strict else "1"
    lines += [
        f"    places = {{text: place for place, text in enumerate(known, {start})}}",
        '    indices = np.array([places.get(text, 0) for text in texts], dtype="int32")',
    ]
    size = f"len(known) + {start}"
    if all(are_embedded):
        lines.append("    return indices")
    elif any(are_embedded):
        lines += ["    if is_embedded:", "        return indices"]
    if not all(are_embedded):
        lines.append(f'    return np.eye({size}, dtype="float32")[indices]')
    return [lines]


def boolean_function(options: Sequence[BooleanColumn]) -> list[Block]:
    """Return the function `boolean` and the words that it knows."""
    has_indicator = any(each.indicator for each in options)
    fills = {each.missing for each in options} - {"error", "most_frequent"}
    words = {**dict.fromkeys((*TRUE, "1", "1.0"), "1.0"), **dict.fromkeys((*FALSE, "0", "0.0"), "0.0")}
    arguments = ["name", *(['fill="most_frequent"'] if fills else []), *(["indicator=False"] if has_indicator else [])]
    most = "values.iloc[train].mode().iloc[0]"
    lines = [
        f"def boolean({', '.join(arguments)}):",
        '    """Return 1 for yes and 0 for no; the most frequent one stands for missing ones."""',
        "    values = table[name].astype(str).str.lower().map(BOOLEANS)",
        *(['    if fill == "most_frequent":', f"        fill = {most}"] if fills else [f"    fill = {most}"]),
        '    filled = values.fillna(fill).to_numpy("float32")[:, np.newaxis]',
    ]
    if has_indicator:
        lines += [
            "    if indicator:",
            '        missing = values.isna().to_numpy("float32")[:, np.newaxis]',
            "        filled = np.concatenate([filled, missing], axis=1)",
        ]
    return [laid_out(mapping(words), "BOOLEANS = "), [*lines, "    return filled"]]


PARTS = {"weekday": "dayofweek", "day_of_year": "dayofyear"}


def date_function(options: Sequence[DateColumn]) -> list[Block]:
    """Return the function `date`, which gives parts of dates."""
    has_format = any(each.format is not None and not each.format.startswith("unix") for each in options)
    has_unit = any((each.format or "").startswith("unix") for each in options)
    parts = list(dict.fromkeys(part for each in options for part in each.parts))
    arguments = ["name", "parts", *(['format="ISO8601"'] if has_format else []), *(["unit=None"] if has_unit else [])]
    form = "format" if has_format else '"ISO8601"'
    read = f"pd.to_datetime(table[name], format={form}, utc=True)"
    lines = [
        f"def date({', '.join(arguments)}):",
        '    """Return parts of dates with mean 0 and deviation 1; the median fills gaps."""',
    ]
    if has_unit:
        lines += [
            "    if unit is not None:",
            '        dates = pd.to_datetime(table[name].astype("float64"), unit=unit, utc=True)',
            "    else:",
            f"        dates = {read}",
        ]
    else:
        lines.append(f"    dates = {read}")
    lines += [
        '    seconds = (dates - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(seconds=1)',
        "    fill = int(seconds.iloc[train].dropna().median())",
        '    seconds = seconds.fillna(fill).astype("int64")',
        '    dates = pd.to_datetime(seconds, unit="s")',
        "    columns = []",
        "    for part in parts:",
    ]
    if "elapsed" in parts:
        lines += [
            '        if part == "elapsed":',
            "            days = seconds.iloc[train] / 86400",
            "            since = seconds - round(days.mean() * 86400)",
            '            column = since.to_numpy("float32") / np.float32(days.std(ddof=0) * 86400)',
            "            columns.append(column)",
            "            continue",
        ]
    lines += [
        '        values = getattr(dates.dt, part).to_numpy("float64")',
        "        known = values[train]",
        "        spread = known.std() if known.std() > 1e-12 * abs(known.mean()) else 1.0",
        '        scaled = values.astype("float32") - np.float32(known.mean())',
        "        columns.append(scaled / np.float32(spread))",
        "    return np.stack(columns, axis=1)",
    ]
    return [lines]


def text_function(options: Sequence[TextColumn], is_typed: bool) -> list[Block]:
    """Return the function `words`, which gives a vector or a sequence of word indices for each text."""
    cells = "table[name].map(as_text)" if is_typed else 'table[name].fillna("")'
    return [
        [
            "def text(name, **options):",
            '    """Return texts as numbers, by a vocabulary of the training rows."""',
            f"    texts = tf.constant({cells}.to_list())",
            "    vectorize = layers.TextVectorization(**options)",
            "    vectorize.adapt(tf.gather(texts, train))",
            "    return np.asarray(vectorize(texts))",
        ]
    ]
