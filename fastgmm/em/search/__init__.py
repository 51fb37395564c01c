"""Global search: better optima than EM from one start ends in, for a budget of passes. One strategy a file.

Every strategy takes a problem and the best mixture so far, and gives one that is no worse; `auto` composes them.
"""

from fastgmm.em.search.budget import PASSES as PASSES
from fastgmm.em.search.budget import parsed as parsed
from fastgmm.em.search.strategies import STRATEGIES as STRATEGIES
from fastgmm.em.search.strategies import Search as Search
from fastgmm.em.search.strategies import searched as searched
