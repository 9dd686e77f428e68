//go:build !amd64

package main

// Other machines have no limits yet; see hasFlag.
const fma256FLOPs, fma512FLOPs = 0, 0

func fma256(int)        {}
func fma512(int)        {}
func read256([]float32) {}
func read512([]float32) {}
