"""Fits that are compared bit for bit."""

from fastgmm import GaussianMixture


def fitted(rows, sample_weight=None, **options):
    options = {"n_threads": 1, "max_iter": 5, "tol": 0.0} | options
    seen = []
    gm = GaussianMixture(
        3, random_state=0, callback=lambda done: seen.append(done.parameters.means.tobytes()), **options
    )
    gm.fit(rows, sample_weight=sample_weight)
    arrays = (gm.weights_, gm.means_, gm.covariances_, gm.precisions_cholesky_)
    return gm, (seen, gm.lower_bounds_, *(array.tobytes() for array in arrays))


def bits(rows, sample_weight=None, **options):
    """History, parameters, labels and scores."""
    gm, found = fitted(rows, sample_weight, **options)
    scores = gm.score(rows, sample_weight=sample_weight), gm.bic(rows, sample_weight), gm.icl(rows, sample_weight)
    return (
        *found,
        *scores,
        gm.predict(rows).tobytes(),
        gm.score_samples(rows).tobytes(),
        gm.predict_proba(rows).tobytes(),
    )
