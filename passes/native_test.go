package passes

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir/loop"
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
	native, portable := 0, 0
	for seed := range 150 {
		f, err := randomFunc(uint64(seed), 4+seed%20)
		require.NoError(t, err)
		out, why, err := lowerAll(program(f))
		require.NoError(t, err)
		for _, k := range out.Kernels {
			if len(k.Native) == 0 {
				t.Logf("%v: %v", k.Name, why[k])
				portable++
				continue
			}
			if len(k.Ints) > 0 {
				continue
			}
			native++
			checkNative(t, fmt.Sprint(seed), k, map[string]int{"B": 5, "T": 7}, r)
		}
	}
	t.Logf("%d kernels native, %d portable", native, portable)
}

// The kernels of example models that have no native form.
func TestNativeExamples(t *testing.T) {
	for _, c := range []struct {
		file, model string
		set         map[string]string
	}{{"gpt2", "", nil}, {"bert", "", nil}, {"resnet", "", nil}, {"rnnlm", "LSTMLM", nil}, {"wavenet", "", nil}, {"llama", "Llama", nil}, {"chargpt", "", nil}} {
		text, err := os.ReadFile("../examples/" + c.file + ".lm")
		require.NoError(t, err)
		file, diags := dsl.Parse(c.file+".lm", text)
		require.False(t, diags.HasErrors(), "%v", diags)
		m, diags := check.Check([]*dsl.File{file}, check.Options{Model: c.model, Set: c.set})
		require.False(t, diags.HasErrors(), "%v", diags)
		p, err := Run(m, Options{})
		require.NoError(t, err)
		start := time.Now()
		out, why, err := lowerAll(p)
		require.NoError(t, err)
		t.Logf("%s: %d kernels, %d portable, %v", c.file, len(out.Kernels), len(why), time.Since(start))
		for _, k := range out.Kernels {
			if why[k] != nil {
				t.Logf("  %s: %v (%v)", k.Name, why[k], k.Doc)
			}
		}
	}
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
		text, err := os.ReadFile("../" + c.file + ".lm")
		require.NoError(t, err)
		file, diags := dsl.Parse(c.file+".lm", text)
		require.False(t, diags.HasErrors(), "%v", diags)
		m, diags := check.Check([]*dsl.File{file}, check.Options{Model: c.model, Set: c.set})
		require.False(t, diags.HasErrors(), "%v", diags)
		p, err := Run(m, Options{})
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
