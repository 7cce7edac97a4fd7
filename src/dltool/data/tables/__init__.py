"""Tables: CSV, TSV, JSON lines and Parquet files → typed columns.

The entry point is :func:`dltool.data.tables.read.read_table`."""
