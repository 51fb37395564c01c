"""Rows: where data live. Each kind can be walked in spans, any number of times."""
