package amd64_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

// exponents are what scale takes as its second operand.
var exponents = []float64{-1000, -300, -279, -278, -253, -252, -200, -150, -149, -140, -127, -126, -30, -1, 0, 1, 30, 127, 128, 200, 254, 255, 277, 300, 1000}

// values are special values of a type.
func values(e loop.Elem) []float64 {
	switch e {
	case loop.F32:
		return looptest.Specials
	case loop.Bool:
		return []float64{0, 1}
	}
	return looptest.SpecialInts
}

// opCase is z[i] = op(a[i], b[i], c[i]) over combinations of special values, of
// vectors with a masked tail or of scalars.
func opCase(op loop.Op, args []loop.Elem, result loop.Elem, many bool) *looptest.Case {
	info := &loop.Table[op]
	name := info.Name
	for _, a := range args {
		name += "_" + a.String()
	}
	name += "_to_" + result.String()
	if many {
		name += "_many"
	}
	b := loop.NewBuilder(name)
	b.K.Doc = "z = " + info.Name + " elementwise (test)"
	stored := func(e loop.Elem) loop.Elem {
		if e == loop.Int {
			return loop.I32
		}
		return e
	}
	c := &looptest.Case{Inputs: make([][]float64, len(args)+1)}
	first, second := values(args[0]), []float64{0}
	if len(args) > 1 {
		second = values(args[1])
	}
	if op == loop.Scale {
		second = exponents
	}
	for i, x := range first {
		for j, y := range second {
			if args[0] == loop.Int && (op == loop.Div || op == loop.Mod) && y == 0 {
				continue
			}
			row := []float64{x, y, 0}
			if len(args) > 2 {
				third := values(args[2])
				row[2] = third[(7*i+5*j)%len(third)]
			}
			for k := range args {
				c.Inputs[k] = append(c.Inputs[k], row[k])
			}
		}
	}
	n := len(c.Inputs[0])
	c.Inputs[len(args)] = make([]float64, n)
	c.Dims = map[string]int{"N": n}
	var bufs []*loop.Buffer
	for k, e := range args {
		bufs = append(bufs, b.Buffer(string(rune('a'+k)), stored(e), loop.Sym("N"), false))
	}
	z := b.Buffer("z", stored(result), loop.Sym("N"), true)
	do := func(xs []*loop.Val) *loop.Val {
		if op == loop.Convert {
			return b.ConvertTo(result, xs[0])
		}
		return b.Do(op, xs...)
	}
	if !many {
		b.Range("i", loop.Sym("N"), func(i *loop.Val) {
			var xs []*loop.Val
			for k, e := range args {
				xs = append(xs, b.ConvertTo(e, b.Load(bufs[k], loop.At(i))))
			}
			b.Store(z, loop.At(i), b.ConvertTo(stored(result), do(xs)))
		})
	} else {
		body := func(i, mask *loop.Val) {
			var xs []*loop.Val
			for k := range args {
				xs = append(xs, b.LoadVec(bufs[k], loop.At(i), mask))
			}
			b.StoreVec(z, loop.At(i), do(xs), mask)
		}
		b.For("i", loop.Bound{}, loop.Bound{Dim: loop.Sym("N")}, loop.Lanes, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			body(i, nil)
			return nil
		})
		f := b.LastLoop()
		f.After = b.NewVal(loop.Int, "rest")
		body(f.After, b.Do(loop.First, b.Do(loop.Sub, b.SizeOf(loop.Sym("N")), f.After)))
	}
	c.Kernel = b.K
	return c
}

// opCases has one case for each form of each op.
func opCases(many bool) (out []*looptest.Case) {
	for op := range loop.Table {
		seen := map[string]bool{}
		for _, f := range loop.Table[op].Forms {
			ints := f.Result == loop.Int
			for _, a := range f.Args {
				ints = ints || a == loop.Int
			}
			key := fmt.Sprint(f.Args, f.Result)
			if f.Float == 64 || many && ints || seen[key] || loop.Op(op) == loop.Check {
				continue
			}
			seen[key] = true
			out = append(out, opCase(loop.Op(op), f.Args, f.Result, many))
		}
	}
	return out
}

func TestEachOpOnSpecialValues(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program")
	}
	for _, target := range loop.Targets {
		t.Run(target.Name, func(t *testing.T) {
			if !has(target) {
				t.Skip("this machine has no " + target.Name)
			}
			var p program
			n := 0
			for _, c := range append(opCases(true), opCases(false)...) {
				require.NoError(t, c.Kernel.Verify())
				if p.add(t, target, c) {
					n++
				}
			}
			t.Logf("%d forms", n)
			p.run(t)
		})
	}
}
