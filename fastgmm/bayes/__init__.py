"""Variational Bayes: posteriors of mixtures from the same statistics that EM takes. Pure NumPy."""
