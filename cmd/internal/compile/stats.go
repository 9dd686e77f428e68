package compile

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/ir/loop"
)

// Summary says in a few lines what a build made.
func (m *Model) Summary(files []codegen.File) []string {
	api := m.Program.API
	params, states := 0, 0
	for _, w := range api.Weights {
		if w.State {
			states += w.Len()
		} else {
			params += w.Len()
		}
	}
	head := fmt.Sprintf("%s: %s parameters", api.Model, Count(params))
	if states > 0 {
		head += fmt.Sprintf(" and %s states", Count(states))
	}
	out := []string{fmt.Sprintf("%s (%s), arena %s", head, Bytes((params+states)*m.width()), m.arena())}
	for _, t := range api.Trainers {
		if !t.Loss.FLOPs.Is(0) {
			out = append(out, fmt.Sprintf("%s: %s FLOPs a step", t.Name, flops(t.Loss.FLOPs)))
		}
	}
	lines, size := 0, 0
	for _, f := range files {
		lines += bytes.Count(f.Data, []byte("\n"))
		size += len(f.Data)
	}
	out = append(out, fmt.Sprintf("%s kernels, %s files, %s lines (%s)", Count(len(m.Program.Kernels)), Count(len(files)), Count(lines), Bytes(size)))
	return out
}

// arena is the scratch memory of a session or trainer.
func (m *Model) arena() string {
	most, open := 0, ""
	for _, p := range m.Program.Procs {
		most = max(most, arena(p, m.width()))
		if p.Slots != nil {
			open = fmt.Sprintf(" (open sizes are %d)", openSize)
		}
	}
	return Bytes(most) + open
}

// flops is a number of operations: rounded, or a formula in the dims.
func flops(d loop.Dim) string {
	if d.Is(0) {
		return "-"
	}
	if n, ok := d.Const(); ok {
		return scaled(float64(n), 1000, []string{"", "k", "M", "G", "T", "P"})
	}
	return d.String()
}

// Count is n with commas.
func Count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes is a size for people.
func Bytes(n int) string {
	return scaled(float64(n), 1000, []string{" B", " kB", " MB", " GB", " TB"})
}

func scaled(x, base float64, units []string) string {
	i := 0
	for ; x >= base && i < len(units)-1; i++ {
		x /= base
	}
	if x >= 100 || x == float64(int(x)) {
		return strconv.FormatFloat(x, 'f', 0, 64) + units[i]
	}
	return strconv.FormatFloat(x, 'f', 1, 64) + units[i]
}

// Stats prints what a model costs: functions, files, the largest kernels, and
// memory.
func (m *Model) Stats(w io.Writer, files []codegen.File) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	api := m.Program.API
	fmt.Fprintln(tw, "function\tFLOPs\tkernel calls")
	row := func(name string, p *loop.Proc, d loop.Dim) {
		if p == nil {
			return
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\n", name, flops(d), calls(p))
	}
	for _, e := range api.Entries {
		row(e.Name, e.Proc, e.FLOPs)
	}
	for _, t := range api.Trainers {
		row(t.Name, t.Loss.Proc, t.Loss.FLOPs)
		row(t.Name+" (update)", t.Apply, loop.N(0))
		if t.Direct != nil {
			row(t.Name+" (both in one)", t.Direct.Proc, t.Direct.FLOPs)
		}
	}
	fmt.Fprintln(tw, "\nfile\tlines\tbytes\tlongest function")
	for _, f := range files {
		name, n := longest(f.Data)
		what := "-"
		if n > 0 {
			what = fmt.Sprintf("%s (%d lines)", name, n)
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\n", f.Name, bytes.Count(f.Data, []byte("\n")), len(f.Data), what)
	}
	fmt.Fprintln(tw, "\nkernel\tFLOPs\tbytes read and written")
	kernels := slices.Clone(m.Program.Kernels)
	size := func(k *loop.Kernel) int {
		env := map[string]int{}
		for _, s := range k.Cost.FLOPs.Syms() {
			env[s] = 32
		}
		n, _ := k.Cost.FLOPs.Eval(env)
		return n
	}
	slices.SortStableFunc(kernels, func(a, b *loop.Kernel) int { return size(b) - size(a) })
	for _, k := range kernels[:min(len(kernels), 12)] {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", k.Name, flops(k.Cost.FLOPs), k.Cost.Bytes)
	}
	tw.Flush()
	m.memories(w)
	m.scalings(w)
	m.natives(w)
}

// natives prints how many kernels have native forms, and which have none.
func (m *Model) natives(w io.Writer) {
	if m.portable {
		return
	}
	var without, why []string
	for _, k := range m.Program.Kernels {
		if len(k.Native) == 0 {
			without = append(without, k.Name)
		}
		for _, reason := range m.refused[k.Name] {
			why = append(why, k.Name+" for "+reason)
		}
	}
	all := len(m.Program.Kernels)
	fmt.Fprintf(w, "\nnative kernels: %d of %d\n", all-len(without), all)
	if len(without) > 0 {
		fmt.Fprintf(w, "portable only: %s\n", strings.Join(without, ", "))
	}
	for _, reason := range why {
		fmt.Fprintf(w, "portable: %s\n", reason)
	}
}

// calls is the number of kernel calls in a procedure, loops counted once.
func calls(p *loop.Proc) int {
	n := 0
	for _, s := range p.Steps {
		switch s := s.(type) {
		case *loop.Call:
			n++
		case *loop.Loop:
			n += calls(s.Body)
		}
	}
	return n
}

// longest is the function of a Go file with the most lines.
func longest(src []byte) (name string, lines int) {
	current, start, at := "", 0, 0
	for line := range bytes.Lines(src) {
		at++
		text := string(bytes.TrimRight(line, "\n"))
		switch {
		case strings.HasPrefix(text, "func "):
			current, start = text, at
		case text == "}" && current != "":
			if n := at - start + 1; n > lines {
				name, lines = current, n
			}
			current = ""
		}
	}
	name = strings.TrimPrefix(name, "func ")
	if strings.HasPrefix(name, "(") {
		_, name, _ = strings.Cut(name, ") ")
	}
	name, _, _ = strings.Cut(name, "(")
	return name, lines
}
