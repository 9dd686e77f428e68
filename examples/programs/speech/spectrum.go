package main

import (
	"math"
	"math/cmplx"
)

const bands = 20

// spectrum cuts sound into frames of 32 ms, 16 ms apart, and measures the
// logarithm of the loudness in bands of the mel scale, less its mean.
func spectrum(x []float32, rate int) [][]float32 {
	const n = 256
	hop := n / 2
	mel := func(f float64) float64 { return 2595 * math.Log10(1+f/700) }
	var out [][]float32
	for at := 0; at+n <= max(len(x), n); at += hop {
		buf := make([]complex128, n)
		for i := range buf {
			if at+i < len(x) {
				buf[i] = complex(float64(x[at+i])*(0.5-0.5*math.Cos(2*math.Pi*float64(i)/n)), 0)
			}
		}
		fft(buf)
		var power [bands]float64
		for i := 1; i < n/2; i++ {
			at := mel(float64(i*rate)/n)/mel(float64(rate)/2)*(bands+1) - 1 // the middle of band k is k
			p := cmplx.Abs(buf[i]) * cmplx.Abs(buf[i])
			k := int(math.Floor(at))
			if f := at - float64(k); k >= 0 && k < bands {
				power[k] += (1 - f) * p
			}
			if f := at - float64(k); k+1 >= 0 && k+1 < bands {
				power[k+1] += f * p
			}
		}
		frame := make([]float32, bands)
		for k, p := range power {
			frame[k] = float32(math.Log(p+1e-4) / 3)
		}
		out = append(out, frame)
	}
	for k := range bands {
		mean := float32(0)
		for _, f := range out {
			mean += f[k] / float32(len(out))
		}
		for _, f := range out {
			f[k] -= mean
		}
	}
	return out
}

// fft is the discrete Fourier transform, for lengths that are powers of two.
func fft(x []complex128) {
	n := len(x)
	if n == 1 {
		return
	}
	even, odd := make([]complex128, n/2), make([]complex128, n/2)
	for i := range even {
		even[i], odd[i] = x[2*i], x[2*i+1]
	}
	fft(even)
	fft(odd)
	for k := range even {
		w := cmplx.Rect(1, -2*math.Pi*float64(k)/float64(n)) * odd[k]
		x[k], x[k+n/2] = even[k]+w, even[k]-w
	}
}
