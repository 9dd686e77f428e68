package main

import (
	"math/rand/v2"
	"strings"
	"testing"

	"example.com/programs/kit"
)

// discs are images of one disc each, white on black.
func discs(r *rand.Rand, n int) []float32 {
	var out []float32
	for range n {
		cx, cy := 28+8*r.Float64(), 28+8*r.Float64()
		for p := range 64 * 64 {
			v := float32(-1)
			if dx, dy := float64(p%64)-cx, float64(p/64)-cy; dx*dx+dy*dy < 200 {
				v = 1
			}
			out = append(out, v, v, v)
		}
	}
	return out
}

// TestTurns: each step changes the parameters of its own half only, and running
// statistics of both; and after some rounds, images are bright in the middle.
func TestTurns(t *testing.T) {
	g := start(1, 1e-3, 5e-3)
	params := func(half string) (out []float32) {
		for v := range g.w.All() {
			if strings.HasPrefix(v.Name, half) && !strings.Contains(v.Name, ".rmean") && !strings.Contains(v.Name, ".rvar") {
				out = append(out, v.Data...)
			}
		}
		return out
	}
	differ := func(a, b []float32) bool {
		for i := range a {
			if a[i] != b[i] {
				return true
			}
		}
		return false
	}
	gen, disc := params("gen."), params("disc.")
	kit.Must(g.disc.Step(kit.Images(discs(g.r, 4), 64, 64, 3), kit.Matrix(g.noise(4), latent)))
	if differ(gen, params("gen.")) || !differ(disc, params("disc.")) {
		t.Error("the step of the discriminator")
	}
	disc = params("disc.")
	kit.Must(g.gen.Step(kit.Matrix(g.noise(4), latent)))
	if !differ(gen, params("gen.")) || differ(disc, params("disc.")) {
		t.Error("the step of the generator")
	}
	var dl, gl float64
	for range 100 {
		dl, gl = g.round(discs, 8)
	}
	middle, edge := 0.0, 0.0
	x := gray(g.draw(8))
	for i, v := range x {
		px, py := i%64, i/64%64
		if px >= 26 && px < 38 && py >= 26 && py < 38 {
			middle += float64(v) / (8 * 12 * 12)
		}
		if px < 8 || py < 8 || px >= 56 || py >= 56 {
			edge += float64(v) / (8 * (64*64 - 48*48))
		}
	}
	t.Logf("losses %.2f and %.2f; images are %.2f in the middle and %.2f at the edge", dl, gl, middle, edge)
	if middle-edge < 0.1 {
		t.Error("want the middle 0.1 brighter")
	}
}
