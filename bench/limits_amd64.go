package main

// Operations of one round of the loops below.
const (
	fma256FLOPs = 12 * 8 * 2
	fma512FLOPs = 24 * 16 * 2
)

//go:noescape
func fma256(n int)

//go:noescape
func fma512(n int)

//go:noescape
func read256(x []float32)

//go:noescape
func read512(x []float32)
