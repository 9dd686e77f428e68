package reference

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
)

// TestRemat: a stack that is computed again in the backward pass needs less
// memory, for each layer only what comes into it, and gives what it gives without:
// the same bits of losses and states; of gradients, too, where sums have the same
// order. It draws the same random numbers, and changes its state once.
func TestRemat(t *testing.T) {
	text, err := os.ReadFile("testdata/remat.lm")
	require.NoError(t, err)
	compiledAs := func(pkg, model, layers string) *compiled {
		text := string(text)
		if !strings.HasPrefix(pkg, "again") {
			text = strings.ReplaceAll(text, "remat     = \"blocks\"\n", "")
		}
		m, err := checked("remat.lm", []byte(text), check.Options{Model: model, Set: map[string]string{"L": layers}})
		require.NoError(t, err)
		m.API.Package = pkg
		c, err := compile(m, codegen.Options{})
		require.NoError(t, err)
		return c
	}
	const B, T, D = 3, 20, 32
	bytes := func(c *compiled) int {
		plan, err := c.program.API.Trainers[0].Loss.Proc.Plan(map[string]int{"B": B, "T": T})
		require.NoError(t, err)
		return plan.Bytes(4)
	}
	models := []string{"DenseStack", "FullStack"}
	var packages []*compiled
	for _, model := range models {
		again, kept := compiledAs("again"+model, model, "6"), compiledAs("kept"+model, model, "6")
		packages = append(packages, again, kept)
		compiledAs("again", model, "1") // no loop at all
		more := bytes(compiledAs("again", model, "12")) - bytes(again)
		assert.Equal(t, 6*B*T*D*4, more, "%s: memory for 6 more layers", model)
		assert.Less(t, float64(more), 0.5*float64(bytes(compiledAs("kept", model, "12"))-bytes(kept)), model)
	}
	ids, next := ir.NewData(ir.I32, B, T), ir.NewData(ir.I32, B, T)
	for i := range ids.I {
		ids.I[i], next.I[i] = int32(i*7%50), int32(i*11%50)
	}
	args := []tensor{tensorOf(ids), tensorOf(next)}
	driver := newDriver(t, "driver.go", packages...).build(t, "driver")
	for _, target := range targets() {
		for i, model := range models {
			var all [2][]answer
			for k, c := range packages[2*i : 2*i+2] {
				requests := []request{{Do: "init"}, {Do: "derivative", Name: "Step", Args: args}, {Do: "step", Name: "Step", Args: args}, {Do: "step", Name: "Step", Args: args}, {Do: "data"}}
				for i := range requests {
					requests[i].Package = c.program.API.Package
				}
				all[k] = ask(t, []string{"LMC_TARGET=" + target}, []string{driver}, requests)
			}
			for n, a := range all[0] {
				require.Empty(t, a.Error)
				require.Len(t, a.Results, len(all[1][n].Results))
				for r, x := range a.Results {
					got, want := x.data(ir.F32).F, all[1][n].Results[r].data(ir.F32).F
					if model == "DenseStack" || r == 0 && n == 1 {
						assert.Equal(t, want, got, "%s, %s: answer %d, result %d", model, target, n, r)
						continue
					}
					for e := range want {
						if !assert.InDelta(t, want[e], got[e], 1e-4*(1+math.Abs(want[e])), "%s, %s: answer %d, result %d", model, target, n, r) {
							break
						}
					}
				}
			}
		}
	}
}
