package ops

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
)

// runScan evaluates a loop iteration by iteration.
func runScan(ev *ir.Evaluator, v *ir.Value, args []*ir.Data) ([]*ir.Data, error) {
	l := LoopOf(v)
	n, err := l.Extent.Eval(ev.Dims)
	if l.Trip != nil {
		n, args = int(args[0].I[0]), args[1:]
	} else if err != nil {
		return nil, err
	}
	carries := slices.Clone(args[:len(l.Inits)])
	sliced, invariants := args[len(l.Inits):][:len(l.Slices)], args[len(l.Inits)+len(l.Slices):]
	collected := make([]*ir.Data, len(l.OutAxes))
	for k := range collected {
		t := v.Type.Tuple[len(carries)+k]
		if collected[k], err = ev.New(t); err != nil {
			return nil, err
		}
	}
	for step := range n {
		at := step
		if l.Reverse {
			at = n - 1 - step
		}
		in := append([]*ir.Data{{Elem: ir.I32, I: []int32{int32(at)}}}, carries...)
		for k, x := range sliced {
			in = append(in, sliceAt(x, l.InAxes[k], at))
		}
		out, err := ev.Run(l.Body, append(in, invariants...))
		if err != nil {
			return nil, fmt.Errorf("iteration %d: %w", at, err)
		}
		copy(carries, out)
		for k, x := range out[len(carries):] {
			storeAt(collected[k], x, l.OutAxes[k], at)
		}
	}
	return append(carries, collected...), nil
}

// sliceAt is x at index at of axis.
func sliceAt(x *ir.Data, axis, at int) *ir.Data {
	y := ir.NewData(x.Elem, slices.Delete(slices.Clone(x.Shape), axis, axis+1)...)
	rows(x, axis, at, func(xi, yi, n int) {
		if x.Elem == ir.F32 {
			copy(y.F[yi:yi+n], x.F[xi:])
		} else {
			copy(y.I[yi:yi+n], x.I[xi:])
		}
	})
	return y
}

// storeAt writes y to index at of axis of x.
func storeAt(x, y *ir.Data, axis, at int) {
	rows(x, axis, at, func(xi, yi, n int) {
		if x.Elem == ir.F32 {
			copy(x.F[xi:xi+n], y.F[yi:])
		} else {
			copy(x.I[xi:xi+n], y.I[yi:])
		}
	})
}

// rows calls f for each run of n elements that x at index at of axis (from xi
// on) and the slice without that axis (from yi on) have in common.
func rows(x *ir.Data, axis, at int, f func(xi, yi, n int)) {
	inner, outer := 1, 1
	for i, d := range x.Shape {
		switch {
		case i < axis:
			outer *= d
		case i > axis:
			inner *= d
		}
	}
	for o := range outer {
		f((o*x.Shape[axis]+at)*inner, o*inner, inner)
	}
}
