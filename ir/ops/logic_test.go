package ops

import (
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/stretchr/testify/assert"
)

// TestNoDropout: a mask of dropout with probability 0 is the constant 1, and
// no number is drawn.
func TestNoDropout(t *testing.T) {
	g := On(ir.NewBuilder("f"))
	key := g.Param("key", ir.Tensor(ir.I32, loop.N(3)))
	u := g.Random(Uniform, key, 1, nil, loop.N(8))
	for p, folds := range map[float64]bool{0: true, 0.1: false} {
		keep := g.LessEqual(g.Float(p, loop.N(8)), u)
		assert.Equal(t, folds, keep.Op == Const, "p = %v", p)
	}
}
