"""One file per table of evidence; each prints a table and writes JSON. See README for commands."""
