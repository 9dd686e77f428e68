package reference

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
)

// blocks are the spans of the parameters that a trainer updates, one for each
// copy of a stack.
func blocks(api *loop.API, tr *loop.Trainer) (spans [][2]int) {
	for _, i := range tr.Updates {
		w := api.Weights[i]
		copies := 1
		for _, n := range w.Counts {
			copies *= n
		}
		for k := range copies {
			n := w.Len() / copies
			spans = append(spans, [2]int{w.Offset + k*n, n})
		}
	}
	return spans
}

// private tells whether a trainer clips the gradient of each example, so that
// what it gives is no slope of the loss.
func (x *trained) private(i int) bool {
	return x.wide.module.Trainers[i].ClipKey == "perExample"
}

// slopesAgree requires that gradients are the slopes measured, but for a few
// elements next to kinks of the loss. It returns how many elements there were.
func slopesAgree(t testing.TB, api *loop.API, r task, o reply) int {
	rows, width := o.Results[0].Shape[0], o.Results[0].Shape[1]
	xs := o.Results[0].floats()
	kinks, covered := 0, map[[2]int]bool{}
	for i := range rows {
		row := xs[i*width:][:width]
		g, ok, kink := row[1], false, false
		var slope float64
		for k, h := range []float64{1e-5, 1e-7} {
			up, down := row[2+2*k]/h, -row[3+2*k]/h
			slope = (up + down) / 2
			kink = math.Abs(up-down) > 0.01*(math.Abs(g)+1e-3)
			if ok = math.Abs(slope-g) <= 1e-6+1e-4*math.Abs(g)+1e-12/h; ok {
				break
			}
		}
		for _, s := range r.Spans {
			if e := int(row[0]); ok && e >= s[0] && e < s[0]+s[1] {
				covered[s] = true
			}
		}
		if ok {
			continue
		}
		name := ""
		for _, w := range api.Weights {
			if e := int(row[0]); e >= w.Offset && e < w.Offset+w.Len() {
				name = w.Path
			}
		}
		require.True(t, kink, "%s: the slope at element %v of %s is %v, but the gradient is %v", r.Name, row[0], name, slope, g)
		kinks++
	}
	require.LessOrEqual(t, 10*kinks, rows, "too many elements near kinks")
	for _, s := range r.Spans {
		if !covered[s] {
			t.Logf("%s: no element of %v is away from kinks", r.Name, s)
		}
	}
	require.Greater(t, 20*len(covered), 19*len(r.Spans), "blocks without a slope")
	return rows
}
