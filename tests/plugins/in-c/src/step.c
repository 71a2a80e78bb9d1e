/* One step of gradient descent on a line: moves slope and intercept, returns the mean loss before. */

double in_c_step(double line[2], const double *x, const double *y, unsigned long n, double rate) {
    double loss = 0.0, d_slope = 0.0, d_intercept = 0.0;
    for (unsigned long i = 0; i < n; i++) {
        double error = line[0] * x[i] + line[1] - y[i];
        loss += 0.5 * error * error / n;
        d_slope += error * x[i] / n;
        d_intercept += error / n;
    }
    line[0] -= rate * d_slope;
    line[1] -= rate * d_intercept;
    return loss;
}
