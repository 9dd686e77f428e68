package check

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// program checks the text of a package that must be right and returns the
// module of its only model.
func program(t *testing.T, text string) *ir.Module {
	t.Helper()
	f, ds := dsl.Parse("test.lm", []byte(text))
	require.Empty(t, ds)
	m, ds := Check([]*dsl.File{f}, Options{})
	for _, d := range ds {
		t.Log("\n" + dsl.Render(d, []byte(text), true))
	}
	require.Empty(t, ds)
	for _, e := range m.Entries {
		require.NoError(t, ir.Verify(e.Func), "%s", e.Func)
	}
	return m
}

// floats and ints are arguments of entries.
func floats(shape []int, x ...float64) *ir.Data { return &ir.Data{Elem: ir.F32, Shape: shape, F: x} }

func ints(shape []int, x ...int32) *ir.Data { return &ir.Data{Elem: ir.I32, Shape: shape, I: x} }

// seq is a tensor that counts in steps of a tenth.
func seq(shape ...int) *ir.Data {
	d := floats(shape)
	n := 1
	for _, k := range shape {
		n *= k
	}
	for i := range n {
		d.F = append(d.F, float64(i+1)/10)
	}
	return d
}

// run evaluates an entry of m in float64. Args come by the names of
// arguments and weights.
func run(t *testing.T, m *ir.Module, entry string, dims map[string]int, args map[string]*ir.Data) []*ir.Data {
	t.Helper()
	for _, e := range m.Entries {
		if e.Func.Name != entry {
			continue
		}
		var in []*ir.Data
		for _, b := range e.In {
			require.Contains(t, args, b.Name)
			in = append(in, args[b.Name])
		}
		ev := ir.Evaluator{Dims: dims, Wide: true}
		out, err := ev.Run(e.Func, in)
		require.NoError(t, err, "%s", e.Func)
		return out
	}
	require.Fail(t, "no entry "+entry)
	return nil
}

func sprint(x any) string { return fmt.Sprint(x) }
