package runtime

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

var noScore = float32(math.NaN())

func TestSortIndex(t *testing.T) {
	x := []float32{3, noScore, 1, 3, float32(math.Inf(-1)), noScore, 1}
	index := make([]int32, len(x))
	SortIndex(x, index, false)
	require.Equal(t, []int32{4, 2, 6, 0, 3, 1, 5}, index)
	SortIndex(x, index, true)
	require.Equal(t, []int32{0, 3, 2, 6, 4, 1, 5}, index)
	SortIndex[float32](nil, nil, true)
	require.Zero(t, testing.AllocsPerRun(10, func() { SortIndex(x, index, true) }))
}

func TestTopKIndexIsAPrefixOfTheSort(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		x := make([]float64, n)
		for i := range x {
			if x[i] = float64(r.IntN(10)); x[i] == 0 {
				x[i] = math.NaN()
			}
		}
		all := make([]int32, n)
		SortIndex(x, all, true)
		for k := range n + 1 {
			top := make([]int32, k)
			TopKIndex(x, top)
			require.Equal(t, all[:k], top, "%v", x)
		}
	}
	x, top := []float32{1, 2, 3}, make([]int32, 2)
	require.Zero(t, testing.AllocsPerRun(10, func() { TopKIndex(x, top) }))
}

func TestNMS(t *testing.T) {
	boxes := []float32{
		0, 0, 2, 2, // 0
		0, 0, 2, 2.1, // 1: nearly 0
		5, 5, 6, 6, // 2
		1, 1, 1, 1, // 3: empty
		9, 9, 10, 10, // 4: no score
	}
	scores := []float32{0.8, 0.9, 0.95, 0.1, noScore}
	keep, count, rank := make([]int32, 5), make([]int32, 1), make([]int32, 5)
	run := func() { NMS(boxes, scores, keep, count, rank, 0.5) }
	run()
	require.Equal(t, []int32{2, 1, 3, 0, 0}, keep)
	require.Equal(t, []int32{3}, count)
	require.Zero(t, testing.AllocsPerRun(10, run))
	keep = keep[:2]
	run()
	require.Equal(t, []int32{2, 1}, keep)
	require.Equal(t, []int32{2}, count)
}
