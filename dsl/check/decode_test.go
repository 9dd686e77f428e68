package check

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// small checks an example with small hyperparameters.
func small(t *testing.T, file, model string, set map[string]string) *ir.Module {
	t.Helper()
	f := parsed(t, filepath.Join("../../examples", file))
	m, ds := Check([]*dsl.File{f}, Options{Model: model, Set: set})
	none(t, f, ds)
	return m
}

// weightsOf gives every weight of m random numbers.
func weightsOf(m *ir.Module) map[string]*ir.Data {
	r := rand.New(rand.NewPCG(3, 4))
	out := map[string]*ir.Data{}
	for _, w := range m.API.Weights {
		d := &ir.Data{Elem: ir.F32, Shape: append([]int{}, w.Counts...)}
		for _, x := range w.Shape {
			n, _ := x.Const()
			d.Shape = append(d.Shape, n)
		}
		for range d.Len() {
			d.F = append(d.F, r.NormFloat64()/2)
		}
		out[w.Path] = d
	}
	for _, tab := range m.API.Tables {
		out[tab.Name] = &ir.Data{Elem: tab.Elem, Shape: tab.Shape, F: tab.Data}
		if tab.Elem == ir.I32 {
			out[tab.Name].F = nil
			for _, x := range tab.Data {
				out[tab.Name].I = append(out[tab.Name].I, int32(x))
			}
		}
	}
	return out
}

// caches makes empty caches.
func caches(m *ir.Module, dims map[string]int, into map[string]*ir.Data) {
	for _, c := range m.API.Caches {
		d := &ir.Data{Elem: c.Elem, Shape: append([]int{}, c.Counts...)}
		for _, x := range c.Shape {
			n, err := x.Eval(dims)
			if err != nil {
				panic(err)
			}
			d.Shape = append(d.Shape, n)
		}
		d.F = make([]float64, d.Len())
		into[c.Path] = d
	}
}

// runCached is run that puts new caches back into args.
func runCached(t *testing.T, m *ir.Module, entry string, dims map[string]int, args map[string]*ir.Data) []*ir.Data {
	t.Helper()
	out := run(t, m, entry, dims, args)
	for _, e := range m.Entries {
		if e.Func.Name == entry {
			for i, b := range e.Out {
				if b.Kind == ir.CacheKind {
					args[b.Name] = out[i]
				}
			}
		}
	}
	return out
}

// TestDecode checks that language models give the same scores token by token
// as all at once.
func TestDecode(t *testing.T) {
	for _, c := range []struct {
		file, model string
		set         map[string]string
	}{
		{"chargpt.lm", "CharGPT", map[string]string{"V": "61", "C": "8", "D": "8", "L": "2", "H": "2"}},
		{"gpt2.lm", "GPT2", map[string]string{"V": "61", "C": "8", "D": "8", "L": "2", "H": "2"}},
		{"gpt2_compact.lm", "GPT2", map[string]string{"V": "61", "C": "8", "D": "8", "L": "2", "H": "2"}},
		{"llama.lm", "Llama", map[string]string{"V": "61", "C": "8", "D": "16", "F": "24", "L": "2", "G": "2", "R": "2"}},
		{"llama.lm", "Mixtral", map[string]string{"V": "61", "C": "8", "D": "16", "F": "24", "L": "2", "G": "2", "R": "2", "E": "3", "A": "2"}},
	} {
		t.Run(c.file+" "+c.model, func(t *testing.T) {
			m := small(t, c.file, c.model, c.set)
			args := weightsOf(m)
			args["ids"] = ints([]int{2, 5}, 1, 2, 3, 4, 5, 10, 9, 0, 7, 6)
			all := run(t, m, "Logits", map[string]int{"B": 2, "T": 5}, args)[0]
			caches(m, map[string]int{"B": 2}, args)
			part := func(from, to int) *ir.Data {
				d := &ir.Data{Elem: ir.I32, Shape: []int{2, to - from}}
				for b := range 2 {
					d.I = append(d.I, []int32{1, 2, 3, 4, 5, 10, 9, 0, 7, 6}[5*b+from:5*b+to]...)
				}
				return d
			}
			for _, at := range [][2]int{{0, 3}, {3, 4}, {4, 5}} {
				args["ids"] = part(at[0], at[1])
				got := runCached(t, m, "Decode", map[string]int{"B": 2, "T": at[1] - at[0], "P": at[0]}, args)[0]
				for b := range 2 {
					row := (5*b + at[1] - 1) * 61
					require.InDeltaSlice(t, all.F[row:row+61], got.F[61*b:61*b+61], 1e-9, "%v", at)
				}
			}
		})
	}
}

// TestWaveNet checks that the ring buffers give what the convolutions do.
func TestWaveNet(t *testing.T) {
	m := small(t, "wavenet.lm", "WaveNet", map[string]string{"Q": "5", "R": "4", "S": "3", "L": "5"})
	args := weightsOf(m)
	x := []int32{1, 2, 3, 4, 0, 1, 1, 3, 2, 4, 0, 0, 1, 2, 3, 1, 0, 4, 4, 2}
	args["x"] = ints([]int{1, len(x)}, x...)
	all := run(t, m, "Logits", map[string]int{"B": 1, "T": len(x)}, args)[0]
	caches(m, map[string]int{"B": 1}, args)
	for p := range x {
		args["x"], args["p"] = ints([]int{1}, x[p]), ints(nil, int32(p))
		got := runCached(t, m, "Next", map[string]int{"B": 1}, args)[0]
		require.InDeltaSlice(t, all.F[5*p:5*p+5], got.F, 1e-9, "step %d", p)
	}
}

// TestPieces checks that a recurrent model reads a text in two pieces as it
// reads the whole.
func TestPieces(t *testing.T) {
	m := small(t, "rnnlm.lm", "LSTMLM", map[string]string{"V": "7", "D": "4", "L": "3"})
	args := weightsOf(m)
	state := func() *ir.Data { d := seq(3, 2, 4); return d }
	args["h"], args["c"] = state(), state()
	args["ids"] = ints([]int{2, 5}, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3)
	whole := run(t, m, "Logits", map[string]int{"B": 2, "T": 5}, args)
	args["ids"] = ints([]int{2, 2}, 1, 2, 6, 0)
	first := run(t, m, "Logits", map[string]int{"B": 2, "T": 2}, args)
	args["h"], args["c"] = first[1], first[2]
	args["ids"] = ints([]int{2, 3}, 3, 4, 5, 1, 2, 3)
	second := run(t, m, "Logits", map[string]int{"B": 2, "T": 3}, args)
	require.InDeltaSlice(t, whole[1].F, second[1].F, 1e-9)
	require.InDeltaSlice(t, whole[2].F, second[2].F, 1e-9)
	require.InDeltaSlice(t, whole[0].F[14:35], second[0].F[:21], 1e-9)
}
