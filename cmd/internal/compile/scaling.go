package compile

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/lmc-lang/lmc/ir/loop"
)

// The machine of the model of speed-up: what a core computes and reads in a
// second, how many cores it takes to reach what the memory delivers, and what a
// parallel loop costs beside its work while workers spin.
const (
	vectorRate   = 100e9 // operations
	scalarRate   = 3e9
	coreBytes    = 25e9
	memoryCores  = 8
	dispatchCost = 0.2e-6 // seconds
)

// A scaling is the expected time of a procedure on each number of cores.
type scaling struct {
	cores []int
	time  []float64
	loss  map[string]float64 // by kernel: what most cores take longer than their share
	env   map[string]int

	// What takes longest without a stop: a call into assembly is not interrupted.
	longest     float64
	longestName string
}

// scalingOf computes, from what kernels cost and how their grids are cut, how
// long p takes: for each kernel the rounds in which its chunks are done, but no
// less than the memory takes for its bytes, and a dispatch. A size that is open
// counts as open.
func scalingOf(p *loop.Proc, cores []int, open int) *scaling {
	s := &scaling{cores: cores, time: make([]float64, len(cores)), loss: map[string]float64{}, env: map[string]int{}}
	s.proc(p, 1, open)
	return s
}

func (s *scaling) proc(p *loop.Proc, times float64, open int) {
	value := func(d loop.Dim) float64 {
		for _, n := range d.Syms() {
			if _, ok := s.env[n]; !ok {
				s.env[n] = open
			}
		}
		n, err := d.Eval(s.env)
		if err != nil {
			return 0
		}
		return float64(n)
	}
	for _, step := range p.Steps {
		switch step := step.(type) {
		case *loop.Loop:
			n := float64(open)
			if step.NRef == nil {
				n = value(step.N)
			}
			s.proc(step.Body, times*n, open)
		case *loop.Call:
			k, rate := step.Kernel, scalarRate
			if native := k.For(loop.AVX512); native != nil {
				k, rate = native, vectorRate
			}
			chunks := 1.0
			if k.Grid != nil {
				grain := max(1, value(k.Grid.Grain))
				chunks = max(1, float64(int((value(k.Grid.N)+grain-1)/grain)))
			}
			whole := max(value(k.Cost.FLOPs)/rate, value(k.Cost.Bytes)/coreBytes)
			if whole/chunks > s.longest && rate == vectorRate {
				s.longest, s.longestName = whole/chunks, k.Name
			}
			bytes := value(k.Cost.Bytes) / coreBytes
			for i, n := range s.cores {
				p := float64(n)
				rounds := float64(int((chunks + p - 1) / p))
				t := whole
				if n > 1 && chunks > 1 {
					t = max(t*rounds/chunks, bytes/min(p, memoryCores)) + dispatchCost
				}
				s.time[i] += times * t
				if i == len(s.cores)-1 {
					s.loss[k.Name] += times * (t - whole/p)
				}
			}
		}
	}
}

// worst is the kernel that keeps most cores from being faster.
func (s *scaling) worst() string {
	name := ""
	for _, k := range slices.Sorted(maps.Keys(s.loss)) {
		if name == "" || s.loss[k] > s.loss[name] {
			name = k
		}
	}
	return name
}

// scalings prints how much faster each function is expected to be on more cores.
func (m *Model) scalings(w io.Writer) {
	cores := []int{1, 2, 8, 16, 64}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\nexpected speed-up")
	for _, n := range cores[1:] {
		fmt.Fprintf(tw, "\t%d cores", n)
	}
	fmt.Fprintf(tw, "\theld up most by\tlongest piece (open sizes are %d)\n", openSize)
	row := func(name string, p *loop.Proc) {
		s := scalingOf(p, cores, openSize)
		fmt.Fprint(tw, name)
		for i := range cores[1:] {
			fmt.Fprintf(tw, "\t%.1f", s.time[0]/max(s.time[i+1], 1e-12))
		}
		fmt.Fprintf(tw, "\t%s\t%.3g ms %s\n", s.worst(), s.longest*1e3, s.longestName)
	}
	for _, e := range m.Program.API.Entries {
		row(e.Name, e.Proc)
	}
	for _, t := range m.Program.API.Trainers {
		row(t.Name, t.Loss.Proc)
		row(t.Name+" (update)", t.Apply)
		if t.Direct != nil {
			row(t.Name+" (both in one)", t.Direct.Proc)
		}
	}
	tw.Flush()
}
