"""Tables: CSV, JSON, Parquet and other files → typed columns."""
