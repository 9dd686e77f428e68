package passes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// randomChain is a function around a contraction that outgrows its operands:
// values of its axes and of its rows, masks, other such contractions, weighted
// sums and sums over the rows. Any of them may be a result.
func randomChain(t *testing.T, r *rand.Rand) *ir.Func {
	return build(t, func(g ops.Graph) []*ir.Value {
		b, h, rows, inner, d := 1+r.IntN(2), 1+r.IntN(3), 13+r.IntN(40), 13+r.IntN(40), 2+r.IntN(5)
		x := func(rows int) *ir.Value { return g.Param("x", f32(b, rows, h, d)) }
		scores := func() *ir.Value {
			return g.Mul(g.Dot("bthc,bshc->bhts", x(rows), x(inner)), g.Float(0.3, dimsOf(b, h, rows, inner)...))
		}
		large, row := []*ir.Value{scores()}, []*ir.Value{g.Param("row", f32(b, h, rows))}
		shape := large[0].Type.Shape
		pick := func(vs []*ir.Value) *ir.Value { return vs[len(vs)-1-r.IntN(min(len(vs), 3))] }
		mask := func() *ir.Value {
			if r.IntN(3) == 0 {
				return g.Less(pick(large), pick(large))
			}
			at := g.Add(g.Iota(2, shape...), g.Broadcast(g.Integer(r.IntN(20)-5), shape))
			return g.LessEqual(g.Iota(3, shape...), at)
		}
		var ends []*ir.Value
		cases := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
		if r.IntN(2) == 0 { // mostly zeros behind a mask
			at := g.Add(g.Iota(2, shape...), g.Broadcast(g.Integer(r.IntN(4)), shape))
			z := g.Select(g.LessEqual(g.Iota(3, shape...), at), large[0], g.Like(large[0], math.Inf(-1)))
			large = []*ir.Value{g.Exp(g.Sub(z, g.Spread(g.MaxOf(z, 3), z, 3)))}
			cases = []int{2, 2, 2, 6, 6, 8, 9, 10, 11, 12, 12, 12, 12, 1 + r.IntN(5)}
		}
		for range 4 + r.IntN(12) {
			wide := func(v *ir.Value) { large = append(large, v) }
			switch cases[r.IntN(len(cases))] {
			case 0:
				wide(scores())
			case 1:
				wide(g.Add(pick(large), pick(large)))
			case 2:
				wide(g.Mul(pick(large), g.Spread(pick(row), large[0], 3)))
			case 3:
				wide(g.Tanh(pick(large)))
			case 4:
				wide(g.Exp(g.Sub(pick(large), g.Spread(g.MaxOf(large[len(large)-1], 3), large[0], 3))))
			case 5:
				wide(g.Select(mask(), pick(large), g.Like(large[0], []float64{0, 1, math.Inf(-1)}[r.IntN(3)])))
			case 6:
				row = append(row, g.Sum(pick(large), 3))
			case 7:
				row = append(row, g.MaxOf(pick(large), 3))
			case 8:
				row = append(row, g.Sigmoid(g.Add(pick(row), pick(row))))
			case 9:
				ends = append(ends, g.Dot("bhts,bshc->bthc", pick(large), x(inner)))
			case 10:
				ends = append(ends, g.Dot("bhts,bthc->bshc", pick(large), x(rows)))
			case 11: // out of the chain and back
				e := g.Dot("bhts,bshc->bthc", pick(large), x(inner))
				row = append(row, g.Transpose(g.Sum(g.Sin(e), 3), 0, 2, 1))
			case 12:
				wide(g.Mulz(pick(large), scores()))
			}
		}
		ends = append(ends, g.Dot("bhts,bshc->bthc", pick(large), x(inner)))
		if r.IntN(3) == 0 {
			ends = append(ends, pick(large))
		}
		if r.IntN(2) == 0 {
			ends = append(ends, pick(row))
		}
		return ends
	})
}

// Whatever hangs together with a contraction that outgrows its operands is the
// same function in kernels as it was.
func TestRandomChains(t *testing.T) {
	chains, limits, natives := 0, 0, 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		f, err := simplified(randomChain(t, r))
		require.NoError(t, err)
		for _, k := range lowered(t, f, nil).Kernels {
			if strings.HasPrefix(k.Name, "fChain") && len(k.Native) > 0 {
				natives++
				checkNative(t, fmt.Sprint(seed), k, nil, r)
			}
		}
		groups, err := fuse(f, false)
		require.NoError(t, err)
		for _, v := range groups.Values {
			if v.Op != ops.Fused {
				continue
			}
			if p := planBody(ops.Body.Of(v), nil); p.kind == chained {
				chains++
				if p.limit != nil {
					limits++
				}
			}
		}
	}
	require.Greater(t, chains, 100)
	require.Greater(t, limits, 30)
	require.Greater(t, natives, 100)
}
