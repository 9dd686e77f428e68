package runtime

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPlan: slots that are needed at the same time do not overlap, also when a
// plan is used for smaller sizes; and nothing is larger than it has to be where
// all slots have one size.
func TestPlan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		slots := make([]Slot, r.IntN(40))
		var p Plan
		for i := range slots {
			first := r.IntN(30)
			slots[i] = Slot{r.IntN(3), first, first + r.IntN(8)}
		}
		for range 4 {
			sizes := make([]int, len(slots))
			for i := range sizes {
				sizes[i] = r.IntN([]int{2, 30, 5000}[r.IntN(3)])
			}
			p.Place(slots, sizes...)
			checkPlan(t, &p, slots, sizes)
			at := append([]int{}, p.At...)
			for i := range sizes {
				sizes[i] -= r.IntN(sizes[i] + 1)
			}
			p.Place(slots, sizes...)
			require.Equal(t, at, append([]int{}, p.At...), "there was room")
			checkPlan(t, &p, slots, sizes)
		}
	}
}

func checkPlan(t *testing.T, p *Plan, slots []Slot, sizes []int) {
	t.Helper()
	align := [3]int{16, 16, 64}
	for i, a := range slots {
		require.GreaterOrEqual(t, p.At[i], 0)
		require.Zero(t, p.At[i]%align[a.Elem])
		require.LessOrEqual(t, p.At[i]+sizes[i], p.Need[a.Elem])
		for j, b := range slots[:i] {
			if a.Elem == b.Elem && a.First <= b.Last && b.First <= a.Last {
				require.True(t, p.At[i]+sizes[i] <= p.At[j] || p.At[j]+sizes[j] <= p.At[i], "%v at %d and %v at %d", a, p.At[i], b, p.At[j])
			}
		}
	}
}

func TestPlanShares(t *testing.T) {
	var p Plan
	p.Place([]Slot{{0, 0, 1}, {0, 1, 2}, {0, 2, 3}, {0, 3, 4}, {2, 0, 9}}, 64, 64, 32, 64, 7)
	assert.Equal(t, [3]int{128, 0, 64}, p.Need, "a chain needs two slots")
	assert.Equal(t, 128*8+64, p.Bytes(8))
}

func TestPlanAllocatesOnce(t *testing.T) {
	var p Plan
	n := 100
	slots := make([]Slot, 50)
	for i := range slots {
		slots[i] = Slot{i % 3, i, i + 5}
	}
	sizes := make([]int, len(slots))
	plan := func() {
		n += 7
		for i := range sizes {
			sizes[i] = n * (1 + i%5)
		}
		p.Place(slots, sizes...)
	}
	plan()
	assert.Zero(t, testing.AllocsPerRun(100, plan))
}

func BenchmarkPlan(b *testing.B) {
	slots := make([]Slot, 10)
	for i := range slots {
		slots[i] = Slot{0, i, i + 2}
	}
	var p Plan
	for n := range b.N {
		p.Place(slots, 768, 768, 3*768, 12*n, 768, 768, 4*768, 768, 50257, 1)
	}
}
