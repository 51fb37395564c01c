"""Single steps of fastgmm under pytest-benchmark: `pytest bench/micro`, or `--bench-rows 200000` for real sizes."""
