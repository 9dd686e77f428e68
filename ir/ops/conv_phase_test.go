package ops

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
)

// The gradient of a convolution to its input is its transpose, for any stride:
// the sum of conv(x)*z is that of x*conv_input(z).
func TestPhases(t *testing.T) {
	inPhases := 0
	for kernel := range 5 {
		for stride := 1; stride <= 3; stride++ {
			for pad := range 3 {
				for dilation := 1; dilation <= 3; dilation++ {
					for _, size := range []int{6, 8, 9, 12} {
						geo := Geometry{
							Kernel: []int{kernel + 1, 2}, Stride: []int{stride, 2}, PadLo: []int{pad, 0},
							PadHi: []int{(pad + size) % 2, 1}, Dilation: []int{dilation, 1},
						}
						if dilation*kernel+1 > size+pad {
							continue
						}
						g := On(ir.NewBuilder("f"))
						x := g.Param("x", ir.Tensor(ir.F32, dims(2, size, 4, 2)...))
						w := g.Param("w", ir.Tensor(ir.F32, dims(kernel+1, 2, 2, 3)...))
						y := g.Conv(x, w, geo, 1)
						z := g.Param("z", y.Type)
						back := g.ConvInput(z, w, geo, 1, x.Type.Shape)
						if (Graph{ir.NewBuilder("try")}).phases(z, w, geo, 1, x.Type) != nil {
							inPhases++
						}
						f, err := g.Return(g.Sum(g.Mul(y, z), 0, 1, 2, 3), g.Sum(g.Mul(x, back), 0, 1, 2, 3))
						require.NoError(t, err)
						rng := rand.New(rand.NewPCG(1, 2))
						var in []*ir.Data
						for _, p := range f.Params {
							in = append(in, noise(rng, p.Type))
						}
						out, err := (&ir.Evaluator{Wide: true}).Run(f, in)
						require.NoError(t, err)
						assert.InDelta(t, out[0].F[0], out[1].F[0], 1e-9, fmt.Sprint(geo, size))
					}
				}
			}
		}
	}
	assert.Greater(t, inPhases, 100)
}

// A kernel of 3 and stride 2: one tap reaches even places, two reach odd ones.
func TestPhasesOf(t *testing.T) {
	geo := Geometry{Kernel: []int{3}, Stride: []int{2}, PadLo: []int{1}, PadHi: []int{1}, Dilation: []int{1}}
	assert.Equal(t, []phase{
		{first: 1, step: 1, taps: 1, lo: 0, hi: 0, dilation: 1},
		{first: 0, step: 2, taps: 2, lo: 1, hi: 0, dilation: 1},
	}, geo.phasesOf(0, 32, 16))
	assert.Nil(t, geo.phasesOf(0, 31, 16))
}
