// Armadillo's gmm_full behind two C functions. Rows (N, D) in C order are Armadillo's columns.
#include <armadillo>

extern "C" const char* version() {
  static const std::string text = arma::arma_version::as_string();
  return text.c_str();
}

// Run EM from the parameters given and leave the new ones there; return whether that worked.
extern "C" int fit(
    double* X, long n, long d, long k, long iterations, double* weights, double* means, double* covariances) {
  const arma::mat rows(X, d, n, false, true);
  arma::rowvec pi(weights, k, false, true);
  arma::mat mu(means, d, k, false, true);
  arma::cube sigma(covariances, d, d, k, false, true);
  arma::gmm_full model;
  model.set_params(mu, sigma, pi);
  if (!model.learn(rows, k, arma::eucl_dist, arma::keep_existing, 0, iterations, 0.0, false)) return 0;
  pi = model.hefts;
  mu = model.means;
  sigma = model.fcovs;
  return 1;
}
