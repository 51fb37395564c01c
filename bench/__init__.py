"""The harness that times fastgmm against its peers: `python -m bench` from the repository root.

Nothing here is part of the package: `bench` may import `fastgmm`, never the other way round.
"""
