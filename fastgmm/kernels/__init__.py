"""Numba kernels: arrays in, arrays out. Imports nothing else of fastgmm; `README.md` has the rules of the folder."""
