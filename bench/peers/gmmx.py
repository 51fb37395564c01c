"""gmmx: EM in JAX on the CPU, in float32, which is all that it accepts: half the work of the others.

With jax 0.10.2 on two cores a fit now and then never ends; `--timeout` then makes a row of it.
"""

from __future__ import annotations

import numpy as np

from bench.peers import REG_COVAR, Floats, Result
from bench.start import Start

LABEL = "gmmx (float32)"


def version() -> str:
    """Return the version of the package."""
    from importlib import metadata

    return metadata.version("gmmx")


def available() -> bool:
    """Import the fitter; say whether that worked."""
    try:
        from gmmx import EMFitter
    except ImportError:
        return False
    return EMFitter is not None


def threads(n: int) -> dict[str, str]:
    """Return the variable that sizes XLA's pool of threads."""
    return {"NPROC": str(n), "JAX_PLATFORMS": "cpu"}


def fit(X: Floats, start: Start, iterations: int) -> Result:
    """Run exactly that many EM iterations from the start. XLA compiles each number of iterations once."""
    from gmmx import EMFitter, GaussianMixtureModelJax
    from jax import numpy as jnp

    given = (jnp.asarray(array, dtype=jnp.float32) for array in (start.means, start.covariances, start.weights))
    fitter = EMFitter(max_iter=iterations, tol=0.0, reg_covar=REG_COVAR)
    result = fitter.fit(jnp.asarray(X, dtype=jnp.float32), GaussianMixtureModelJax.from_squeezed(*given))
    if int(result.n_iter) != iterations:
        raise RuntimeError(f"gmmx ran {int(result.n_iter)} iterations instead of {iterations}.")
    model = result.gmm
    parameters = (model.weights_numpy, model.means_numpy, model.covariances.values_numpy)
    return Result(float(result.log_likelihood), *(np.asarray(array, dtype=np.float64) for array in parameters))
