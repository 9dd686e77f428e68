package compile

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/passes"
)

// memories prints what each function needs of the arena, and a timeline of the
// one that needs most: what is live while each kernel runs.
func (m *Model) memories(w io.Writer) {
	width := m.width()
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\nmemory\tarena\tlive at its peak\tnothing shared\ttensors (open sizes are %d)\n", openSize)
	var most *passes.MemoryUse
	peak := func(u *passes.MemoryUse) int {
		n := 0
		for _, s := range u.Calls {
			n = max(n, bytesOf(s.Live, width))
		}
		return n
	}
	for _, u := range m.memory {
		if bytesOf(u.Unshared, width) == 0 {
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\n", u.Name, Bytes(arena(u.Proc, width)), Bytes(peak(u)), Bytes(bytesOf(u.Unshared, width)), u.Tensors)
		if most == nil || peak(u) >= peak(most) {
			most = u
		}
	}
	if n := m.prepared(); n > 0 {
		fmt.Fprintf(tw, "prepared\t%s\t\t\t\tkept with the weights\n", Bytes(n*width))
	}
	if most == nil {
		tw.Flush()
		return
	}
	fmt.Fprintf(tw, "\ntimeline of %s\tlive\t\n", most.Name)
	for _, s := range most.Calls {
		live := bytesOf(s.Live, width)
		fmt.Fprintf(tw, "%s\t%s\t%s\n", s.Kernel, Bytes(live), strings.Repeat("#", (40*live+peak(most)-1)/peak(most)))
	}
	tw.Flush()
}

// prepared is how many elements native kernels have prepared with the weights.
func (m *Model) prepared() int {
	n := 0
	for _, p := range m.Program.API.Prepared {
		n += p.Size
	}
	return n
}

// width is the size of a float.
func (m *Model) width() int {
	if m.Program.API.Float64 {
		return 8
	}
	return 4
}

// openSize is what a size that is open counts as.
const openSize = 32

// sized gives all symbols of dims that size.
func sized(env map[string]int, dims ...loop.Dim) map[string]int {
	for _, d := range dims {
		for _, s := range d.Syms() {
			env[s] = openSize
		}
	}
	return env
}

// arena is what p needs.
func arena(p *loop.Proc, width int) int {
	env := map[string]int{}
	for _, s := range p.Slots {
		sized(env, s.Size)
	}
	plan, err := p.Plan(env)
	if err != nil {
		return 0
	}
	return plan.Bytes(width)
}

// bytesOf is the size of so many elements of each type.
func bytesOf(elems [3]loop.Dim, width int) int {
	total := 0
	for e, d := range elems {
		n, _ := d.Eval(sized(map[string]int{}, d))
		total += n * [...]int{loop.F32: width, loop.I32: 4, loop.Bool: 1}[loop.Elem(e)]
	}
	return total
}
