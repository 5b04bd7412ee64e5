"""Many scans at a time: planned, resumed, spread over processes or a Dask cluster, merged from slices."""
