"""Tables: CSV, TSV, JSON lines and Parquet files → typed columns.

:func:`dltool.data.tables.read.read_table` is the way in.
"""
