package main

import "math"

// Epsilon is the privacy lost in steps of the sampled Gaussian mechanism: each
// step has each example with probability q and adds noise of sigma times the
// clipping length. It adds up Rényi divergences of integer orders (Mironov, Talwar
// & Zhang, 2019) and converts the sum as Canonne, Kamath & Steinke (2020) do.
func Epsilon(q, sigma float64, steps int, delta float64) float64 {
	best := math.Inf(1)
	for a := 2; a <= 256; a++ {
		alpha := float64(a)
		eps := float64(steps)*divergence(q, sigma, a) + math.Log1p(-1/alpha) - (math.Log(delta)+math.Log(alpha))/(alpha-1)
		best = min(best, eps)
	}
	return max(best, 0)
}

// divergence is the Rényi divergence of order a of one step:
// log(sum over k of C(a,k) (1-q)^(a-k) q^k exp((k²-k) / 2σ²)) / (a-1).
func divergence(q, sigma float64, a int) float64 {
	sum := math.Inf(-1)
	for k := range a + 1 {
		term := choose(a, k) + float64(k)*math.Log(q) + float64(k*k-k)/(2*sigma*sigma)
		if k < a {
			term += float64(a-k) * math.Log1p(-q)
		}
		hi, lo := max(sum, term), min(sum, term)
		sum = hi + math.Log1p(math.Exp(lo-hi))
	}
	return sum / float64(a-1)
}

// choose is the logarithm of the binomial coefficient.
func choose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
