"""Tables: CSV, TSV, JSON lines and Parquet files → typed columns."""
