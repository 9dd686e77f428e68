package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A cost is what the calls of one kernel do in one call of a workload.
type cost struct {
	calls, flops, bytes float64
	pieces, grain       int // of the grid of a call; 1 if it has none
}

// on is the time that a call takes on so many cores, of that on one.
func (c cost) on(cores int) float64 {
	n := max(c.pieces, 1)
	cores = max(1, min(cores, n/max(c.grain, 1)))
	return float64((n+cores-1)/cores) / float64(n)
}

// costs are those of all kernels of a workload for a target, by the kernel's name.
func (m *module) costs(w *workload, target string) map[string]cost {
	p := m.programs[w.uses[0]]
	env := map[string]int{}
	maps.Copy(env, sources[w.uses[0]].dims)
	maps.Copy(env, w.dims)
	out := map[string]cost{}
	times := float64(max(1, w.calls))
	for _, e := range p.API.Entries {
		if e.Name == w.fn {
			addCosts(out, e.Proc, target, times, env)
		}
	}
	for _, t := range p.API.Trainers {
		switch {
		case t.Name != w.fn:
		case t.Direct != nil:
			addCosts(out, t.Direct.Proc, target, times, env)
		default:
			addCosts(out, t.Loss.Proc, target, times, env)
			addCosts(out, t.Apply, target, times, env)
		}
	}
	return out
}

func addCosts(out map[string]cost, p *loop.Proc, target string, times float64, env map[string]int) {
	value := func(d loop.Dim) float64 {
		n, _ := d.Eval(env)
		return float64(n)
	}
	for _, s := range p.Steps {
		switch s := s.(type) {
		case *loop.Call:
			c := out[s.Kernel.Name]
			c.calls += times
			c.flops += times * value(s.Kernel.Cost.FLOPs)
			c.bytes += times * value(s.Kernel.Cost.Bytes)
			if g := gridOf(s.Kernel, target); g != nil {
				c.pieces, c.grain = int(value(g.N)), int(value(g.Grain))
			}
			out[s.Kernel.Name] = c
		case *loop.Loop:
			addCosts(out, s.Body, target, times*value(s.N), env)
		}
	}
}

// gridOf is the grid of the form of k that runs on target.
func gridOf(k *loop.Kernel, target string) *loop.Grid {
	for _, n := range k.Native {
		if n.Target.Name == target {
			return n.Grid
		}
	}
	return k.Grid
}

// A hot function is a line of a profile.
type hot struct {
	name  string
	share float64 // of all samples, what it calls not counted
}

// readProfile is the functions of a profile, the hottest first.
func readProfile(exe, file string) ([]hot, error) {
	out, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=1000", "-nodefraction=0", exe, file).Output()
	if err != nil {
		return nil, err
	}
	var hots []hot
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line) // flat flat% sum% cum cum% name
		if len(f) < 6 || !strings.HasSuffix(f[1], "%") {
			continue
		}
		share, err := strconv.ParseFloat(strings.TrimSuffix(f[1], "%"), 64)
		if err != nil {
			continue
		}
		hots = append(hots, hot{f[5], share / 100})
	}
	return hots, nil
}

// report prints what the kernels of a workload cost, by the profile of a run:
// ms of a call, operations and bytes a second. The time is processor time, of
// all cores together.
func (m *module) report(w *workload, r *result, file string, l *limits, o options) error {
	hots, err := readProfile(m.built[w.program], file)
	if err != nil {
		return err
	}
	costs := m.costs(w, r.Kernels)
	merged, rest, portable := map[string]float64{}, map[string]float64{}, map[string]bool{}
	for _, h := range hots {
		if k, native := kernelOf(h.name, costs); k != "" {
			merged[k] += h.share
			portable[k] = portable[k] || !native && h.share > 0.001
		} else {
			rest[h.name] += h.share
		}
	}
	tw := tabwriter.NewWriter(os.Stdout, 8, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\tms\tof time\tcalls\tGFLOP\tGF/s\tof peak\tMB\tGB/s\tpieces\t  function")
	n := 0
	for _, name := range byShare(merged) {
		if n++; n > o.top || merged[name] < 0.001 {
			break
		}
		c, share := costs[name], merged[name]
		ms := r.time(o) * share * float64(l.cores)
		peak := ""
		if l.flops > 0 {
			peak = fmt.Sprintf("%.1f%%", 100*c.flops/(ms*1e-3)/l.flops*float64(l.cores))
		}
		if portable[name] && r.Kernels != "portable" {
			name += " (portable)"
		}
		fmt.Fprintf(tw, "\t%s\t%.1f%%\t%.0f\t%.3g\t%.1f\t%s\t%.3g\t%.1f\t%d\t  %s\n", digits(ms), 100*share, c.calls, c.flops/1e9, c.flops/ms/1e6, peak, c.bytes/1e6, c.bytes/ms/1e6, max(c.pieces, 1), name)
	}
	for i, name := range byShare(rest) {
		if i >= 4 || rest[name] < 0.01 {
			break
		}
		fmt.Fprintf(tw, "\t%s\t%.1f%%\t\t\t\t\t\t\t  %s\n", digits(r.time(o)*rest[name]*float64(l.cores)), 100*rest[name], name)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Print("    speed-up that the grids allow:")
	for _, cores := range []int{2, 4, 8, 16, 64} {
		kernels, all := 0.0, 0.0
		for name, share := range merged {
			kernels += share * costs[name].on(cores)
			all += share
		}
		for _, share := range rest {
			kernels += share
			all += share
		}
		fmt.Printf("  %.2f on %d cores", all/kernels, cores)
	}
	fmt.Println()
	return nil
}

// kernelOf is the kernel that a function belongs to, if any, and whether it is
// native: stepDot, its form stepDotAVX512, which callStepDotAVX512 calls, and
// functions inside of them.
func kernelOf(fn string, costs map[string]cost) (kernel string, native bool) {
	fn = fn[strings.LastIndexByte(fn, '/')+1:]
	for _, part := range strings.Split(fn, ".") {
		if rest, ok := strings.CutPrefix(part, "call"); ok && rest != "" {
			part = strings.ToLower(rest[:1]) + rest[1:]
		}
		for _, suffix := range []string{"", "AVX512", "AVX2"} {
			name, ok := strings.CutSuffix(part, suffix)
			if _, is := costs[name]; ok && is {
				return name, suffix != ""
			}
			name, ok = strings.CutSuffix(name, "Kernel") // where the name means something in Go
			if _, is := costs[name]; ok && is {
				return name, suffix != ""
			}
		}
	}
	return "", false
}

func byShare(m map[string]float64) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return int(1e9 * (m[b] - m[a]))
		}
		return strings.Compare(a, b)
	})
}
