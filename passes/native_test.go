package passes

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// lowerAll is Lower, with the reasons why kernels have no native form.
func lowerAll(p *Program) (*loop.Program, map[*loop.Kernel]error, error) {
	s := newScheduler(p)
	why := map[*loop.Kernel]error{}
	s.refused = func(k *loop.Kernel, err error) { why[k] = err }
	err := s.program()
	return s.out, why, err
}

// Native forms of random functions agree with the portable kernels.
func TestNativeRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	native, all := 0, 0
	for seed := range 150 {
		f, err := randomFunc(uint64(seed), 4+seed%20)
		require.NoError(t, err)
		out, err := Lower(program(f))
		require.NoError(t, err)
		for _, k := range out.Kernels {
			all++
			if len(k.Native) > 0 {
				native++
				checkNative(t, fmt.Sprint(seed), k, map[string]int{"B": 5, "T": 7}, r)
			}
		}
	}
	require.Greater(t, native, all*2/3)
}

// Loops of all lengths: whole vectors several at a time, single ones, and a
// rest; known when the kernel is made, or not; along rows, columns, and both.
func TestNativeLengths(t *testing.T) {
	rowsAndColumns := func(g ops.Graph, n ir.Dim) []*ir.Value {
		x, b := g.Param("x", ir.Tensor(ir.F32, loop.N(3), n)), g.Param("b", ir.Tensor(ir.F32, n))
		i := g.Param("i", ir.Tensor(ir.I32, n))
		y := g.Add(g.Mul(x, g.Broadcast(b, x.Type.Shape, 1)), g.Like(x, 1))
		before := g.LessEqual(g.Iota(1, x.Type.Shape...), g.Like(g.Iota(0, x.Type.Shape...), 20))
		return []*ir.Value{y, softmax(g, x), g.Sum(y, 0), g.Sum(g.Mul(x, x), 1), g.MaxOf(x, 0, 1), g.Sum(x, 0, 1),
			g.Select(before, x, y), g.Gather(x, i, 1), g.Flip(x, 1), g.Transpose(x, 1, 0),
			g.Do(ops.ArgMax, []*ir.Value{x}, ops.Axis.Is(1)), g.Prod(g.Tanh(x), 1), g.CumSum(x, 0, false, false),
			g.Any(g.Less(x, g.Like(x, -1)), 1), g.All(g.Less(x, g.Like(x, 1)), 1)}
	}
	symbolic := build(t, func(g ops.Graph) []*ir.Value { return rowsAndColumns(g, loop.Sym("N")) })
	out, err := Lower(program(symbolic))
	require.NoError(t, err)
	for n := range 68 {
		check := func(out *loop.Program) {
			for _, k := range out.Kernels {
				if len(k.Native) > 0 {
					checkNative(t, fmt.Sprint(n), k, map[string]int{"N": n}, rand.New(rand.NewPCG(5, 6)))
				}
			}
		}
		check(out)
		if n > 0 && n%3 < 2 {
			f := build(t, func(g ops.Graph) []*ir.Value { return rowsAndColumns(g, loop.N(n)) })
			out, err := Lower(program(f))
			require.NoError(t, err)
			check(out)
		}
	}
}

// The grid of sums over the middle axis: both axes around it are cut into pieces.
func TestNativeBlocks(t *testing.T) {
	f := build(t, func(g ops.Graph) []*ir.Value {
		return []*ir.Value{g.Sum(g.Param("x", f32(6, 70, 1000)), 1)}
	})
	out, err := Lower(program(f))
	require.NoError(t, err)
	k := out.Kernels[0]
	require.NotEmpty(t, k.Native)
	require.Equal(t, "96", k.Native[0].Grid.N.String())
	checkNative(t, "sum", k, nil, rand.New(rand.NewPCG(5, 6)))
	eachScalarLoop(k.Native[0].Body, func(f *loop.For) { t.Errorf("a loop over %v is scalar\n%v", f.Var, k.Native[0].Kernel) })
}

// An index out of range faults, in whichever lane it is, and only if that counts.
func TestNativeIndexChecked(t *testing.T) {
	const n = 37
	f := build(t, func(g ops.Graph) []*ir.Value {
		x, i := g.Param("x", f32(5)), g.Param("i", ir.Tensor(ir.I32, loop.N(n)))
		return []*ir.Value{g.Gather(x, i, 0)}
	})
	out, err := Lower(program(f))
	require.NoError(t, err)
	k := out.Kernels[0].For(loop.AVX2)
	require.NotNil(t, k)
	index := make([]int32, n)
	args := []loop.Mem{make([]float32, 5), index, make([]float32, n)}
	require.NoError(t, loop.Run(k, nil, false, args, nil))
	for _, bad := range []int32{-1, 5} {
		for at := range n {
			index[at] = bad
			require.ErrorContains(t, loop.Run(k, nil, false, args, nil), fmt.Sprintf("index %d out of range [0, 5)", bad))
			index[at] = 0
		}
	}
}

// Whatever a large model computes has a native form, and all loops in it that
// are long run over vectors, but for what is listed here.
func TestNativeExamples(t *testing.T) {
	for _, c := range []struct {
		file, model string
	}{{"gpt2", ""}, {"bert", ""}, {"resnet", ""}, {"rnnlm", "LSTMLM"}, {"wavenet", ""}, {"llama", "Llama"}, {"chargpt", ""}} {
		p, err := Run(moduleFile(t, "examples/"+c.file, c.model, nil), Options{})
		require.NoError(t, err)
		out, why, err := lowerAll(p)
		require.NoError(t, err)
		for _, k := range out.Kernels {
			switch {
			case why[k] == nil:
			case strings.Contains(why[k].Error(), "it calls a function"): // sorts
			case strings.Contains(why[k].Error(), "there is not enough to do"):
				assert.Less(t, weigh(k.Body), 100.0, "%s: %s has no native form: %v\n%v", c.file, k.Name, why[k], k)
			default:
				assert.Fail(t, "no native form", "%s: %s: %v", c.file, k.Name, why[k])
			}
			for _, n := range k.Native {
				eachScalarLoop(n.Body, func(f *loop.For) {
					assert.Less(t, trips(f), 8.0, "%s: a loop over %v of %s is scalar on %s", c.file, f.Var, k.Name, n.Target.Name)
				})
			}
		}
	}
}

// moduleFile checks the text of a model.
func moduleFile(t *testing.T, name, model string, set map[string]string) *ir.Module {
	text, err := os.ReadFile("../" + name + ".lm")
	require.NoError(t, err)
	file, diags := dsl.Parse(name+".lm", text)
	require.False(t, diags.HasErrors(), "%v", diags)
	m, diags := check.Check([]*dsl.File{file}, check.Options{Model: model, Set: set})
	require.False(t, diags.HasErrors(), "%v", diags)
	return m
}

// eachScalarLoop calls f with the innermost loops that have no vectors.
func eachScalarLoop(body []loop.Stmt, f func(*loop.For)) {
	walk(body, func(s loop.Stmt) {
		l, ok := s.(*loop.For)
		if !ok || !innermost(l) {
			return
		}
		vector := false
		walk(l.Body, func(s loop.Stmt) {
			switch s := s.(type) {
			case *loop.Instr:
				vector = vector || s.Dst.Vec
			case *loop.Load:
				vector = vector || s.Dst.Vec
			case *loop.Store:
				vector = vector || s.Src.Vec
			}
		})
		if !vector {
			f(l)
		}
	})
}

// Native forms of the kernels of example models, made small, agree with the
// portable ones.
func TestNativeExampleKernels(t *testing.T) {
	gpt := map[string]string{"D": "32", "H": "2", "L": "2", "V": "65", "C": "64"}
	for _, c := range []struct {
		file, model string
		set         map[string]string
	}{
		{"bench/gpt", "", gpt}, {"examples/gpt2", "", gpt}, {"examples/bert", "", map[string]string{"D": "32", "H": "2", "L": "2", "V": "35", "C": "64", "F": "40"}},
		{"examples/llama", "Llama", map[string]string{"D": "32", "V": "60", "L": "2", "F": "40", "G": "2", "C": "64"}},
		{"examples/rnnlm", "LSTMLM", map[string]string{"D": "20", "V": "37", "L": "2"}}, {"examples/rnnlm", "GRULM", map[string]string{"D": "20", "V": "37"}},
		{"examples/wavenet", "", map[string]string{"Q": "33", "R": "20", "S": "17", "L": "4"}}, {"examples/word2vec", "", map[string]string{"V": "50", "D": "40"}},
		{"examples/mlp", "", map[string]string{"I": "35", "H": "40", "C": "3"}}, {"examples/attribution", "", map[string]string{"I": "35", "H": "40", "C": "3"}},
	} {
		p, err := Run(moduleFile(t, c.file, c.model, c.set), Options{})
		require.NoError(t, err)
		out, err := Lower(p)
		require.NoError(t, err)
		r := rand.New(rand.NewPCG(5, 6))
		checked := 0
		for _, k := range out.Kernels {
			if len(k.Native) == 0 {
				continue
			}
			for _, n := range []int{1, 27} {
				env := map[string]int{"B": 2, "T": n, "P": 3, "K": 5, "n": 2, "I": n}
				for _, s := range []string{"S", "M", "N"} {
					env[s] = env["T"] + env["P"]
				}
				args := kernelArgs(t, k, env, r)
				if loop.Run(k, env, false, args, make([]int, len(k.Ints))) != nil {
					continue // random numbers are no indices
				}
				checkNative(t, c.file+" "+k.Name, k, env, r)
				checked++
			}
		}
		require.Greater(t, checked, len(out.Kernels)/2, c.file)
	}
}
