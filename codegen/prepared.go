package codegen

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// parts are the prepared parts that the package has: without native kernels
// nothing reads those that are for them alone.
func (g *gen) parts(yield func(int, *loop.PreparedPart) bool) {
	for i, p := range g.api.Prepared {
		if !(p.Native && g.opt.Portable) && !yield(i, p) {
			return
		}
	}
}

// hasPrepared is whether the package prepares something.
func (g *gen) hasPrepared() bool {
	for range g.parts {
		return true
	}
	return false
}

// part is the prepared part of that name, and its index.
func (g *gen) part(name string) (int, *loop.PreparedPart) {
	for i, p := range g.api.Prepared {
		if p.Name == name {
			return i, p
		}
	}
	return 0, nil
}

// stale is the statement that says that the weights w have changed.
func (g *gen) stale(w string) string {
	if !g.hasPrepared() {
		return ""
	}
	return w + ".prepared.Stale()\n"
}

// prepares is the statement at the beginning of a call that makes what it reads
// up to date, or nothing.
func (g *gen) prepares(e *loop.Entry) string {
	var all, portable uint64
	for i, p := range g.parts {
		for _, k := range e.Prepared {
			if k == i {
				all |= 1 << i
				if !p.Native {
					portable |= 1 << i
				}
			}
		}
	}
	switch {
	case all == 0:
		return ""
	case !g.hasNative():
		return fmt.Sprintf("s.prepare(%#x)", all)
	}
	return fmt.Sprintf("s.prepare(%#x, %#x)", portable, all)
}

// prepared prints what sessions do about prepared memory.
func (g *gen) prepared(f *file) {
	if !g.hasPrepared() {
		return
	}
	doc, params, choose := "", "parts", "const kind = 0\n"
	if g.hasNative() {
		doc = " Portable kernels\n// read fewer of them than others, and may differ in rounding."
		params, choose = "portable, native", "kind, parts := 0, portable\nif s.m.kernels != &portableKernels {\nkind, parts = 1, native\n}\n"
	}
	var cases, sizes strings.Builder
	for i, p := range g.api.Prepared {
		n := p.Size
		if p.Native && g.opt.Portable {
			n = 0
		}
		if i > 0 {
			sizes.WriteString(", ")
		}
		sizes.WriteString(strconv.Itoa(n))
	}
	for i, p := range g.parts {
		x := g.procs[p.Proc]
		b := g.newBinder(&loop.Entry{}, "", scope{})
		fmt.Fprintf(&cases, "case %d:\n", i)
		if s := b.grow("m", p.Proc); s != "" {
			cases.WriteString(s + "\n")
		}
		fmt.Fprintf(&cases, "m.%s()\n", x.method)
	}
	f.add(`
// preparedSizes are the elements of the parts of what is computed from weights
// alone.
var preparedSizes = []int{$sizes}

// prepare makes the parts whose bits are set up to date: they are computed if the
// weights have changed, once for all sessions.$doc
func (s *Session) prepare($params uint64) {
	$choose	c := s.w.prepared.Ready(kind, parts)
	if c == nil {
		var counted bool
		if c, counted = s.w.prepared.Make(kind, parts, preparedSizes, &s.m); counted {
			s.copies = c
		}
	}
	s.m.prepared = c.Parts
}

// Prepare is called by runtime.Prepared.
func (m *memory) Prepare(part int, parts [][]$float) {
	m.prepared = parts
	switch part {
	$cases}
}`, "sizes", sizes.String(), "doc", doc, "params", params, "choose", choose, "float", g.float(), "cases", cases.String())
}
