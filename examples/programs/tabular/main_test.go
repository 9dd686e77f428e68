package main

import (
	"math"
	"testing"

	"example.com/programs/kit"
)

func TestFlowers(t *testing.T) {
	r := kit.NewRand(1)
	x, y := kit.Normal(r, 4*150), make([]int32, 150)
	for i := range y {
		y[i] = int32(i % 3)
		x[4*i+i%3] += 5
	}
	a, b, _ := flowers(x, y, 1, 200)
	t.Logf("%.1f %% by logistic regression, %.1f %% by the network", 100*a, 100*b)
	if a < 0.95 || b < 0.95 {
		t.Error("want 95 %")
	}
}

// TestPatients: half of what tells the sick is missing in some rows.
func TestPatients(t *testing.T) {
	r := kit.NewRand(2)
	const n = 800
	x, y := kit.Normal(r, 8*n), make([]int32, n)
	for i := range y {
		p := 1 / (1 + math.Exp(-3*float64(x[8*i+1])-2*float64(x[8*i+2])))
		if r.Float64() < p {
			y[i] = 1
		}
		if r.IntN(4) == 0 {
			x[8*i+2] = 0
		}
	}
	c := patients(x, y, []int{2}, 300)
	t.Logf("%.1f %% right, area under the curve %.3f, slopes %.2f", 100*c.right, c.area, c.slopes)
	if c.area < 0.85 {
		t.Error("want an area of 0.85")
	}
	if c.slopes[1] < 0.1 || math.Abs(c.slopes[5]) > 0.05 {
		t.Error("the risk depends on the wrong measurements")
	}
}
