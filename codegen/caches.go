package codegen

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// cacheSyms are the symbols in the shapes of caches.
func (g *gen) cacheSyms() []string {
	set := map[string]bool{}
	for _, c := range g.api.Caches {
		for _, d := range c.Shape {
			for _, s := range d.Syms() {
				set[s] = true
			}
		}
	}
	return sortedKeys(set)
}

// cacheSizes are the elements of the caches, by element type.
func (g *gen) cacheSizes() [3]loop.Dim {
	var out [3]loop.Dim
	for _, c := range g.api.Caches {
		end := loop.Product(c.Shape)
		for _, n := range c.Counts {
			end = end.MulN(n)
		}
		end = end.Add(c.Offset)
		if m, ok := maxDim(out[c.Elem], end); ok {
			out[c.Elem] = m
		} else {
			out[c.Elem] = out[c.Elem].Add(end)
		}
	}
	return out
}

// cacheFields are the fields of a session that has caches.
func (g *gen) cacheFields() string {
	if len(g.api.Caches) == 0 {
		return ""
	}
	s := "\n// The caches belong to one batch of sequences until Reset.\nbound bool\nfilled int // positions\n"
	if n := len(g.cacheSyms()); n > 0 {
		s += fmt.Sprintf("batch [%d]int // %s\n", n, strings.Join(g.cacheSyms(), ", "))
	}
	return s
}

// position is the parameter of an entry point that says how many positions its
// caches hold, and the expression for the positions that a call adds.
func (b *binder) position() (p string, adds string, ok bool) {
	for i, a := range b.e.Args {
		if !a.IsDim {
			continue
		}
		adds = "1"
		for k, x := range b.e.Args {
			if !x.IsDim && len(x.Shape) >= 2 {
				adds = extent(b.vars[k], len(x.Shape), 1)
				break
			}
		}
		return b.vars[i], adds, true
	}
	return "", "", false
}

// bindCaches prints the start of a call that uses the caches: the first one
// after Reset makes them for its batch, another batch is an error.
func (g *gen) bindCaches(b *binder) {
	if p, _, ok := b.position(); ok {
		g.uses["need"] = true
		b.line("if %s != s.filled {\nreturn %sneed(%s, %q, runtime.DimValue{Name: %q, Value: %s}, runtime.DimValue{Name: \"the filled length\", Value: s.filled})\n}",
			p, b.fail, b.fn, p+" to be the filled length of the caches (Reset empties them)", p, p)
	}
	syms := g.cacheSyms()
	var values []string
	for _, n := range syms {
		values = append(values, b.sym(n))
	}
	var fill strings.Builder
	for e, d := range g.cacheSizes() {
		f := g.field(loop.Caches, loop.Elem(e))
		if d.Is(0) || !g.uses[f] {
			continue
		}
		fmt.Fprintf(&fill, "s.m.%s = runtime.Resize(s.m.%s, %s)\nclear(s.m.%s)\n", f, f, b.dim(d), f)
	}
	if len(syms) == 0 {
		b.line("if !s.bound {\ns.bound = true\n%s}", fill.String())
		return
	}
	first := 0
	for i, a := range b.e.Args {
		if len(a.Shape) > 0 {
			first = i
			break
		}
	}
	a := b.e.Args[first]
	b.line(`switch batch := [%d]int{%s}; {
case !s.bound:
s.bound, s.batch = true, batch
%scase s.batch != batch:
return %s&runtime.ShapeError{Model: modelName, Func: %s, Arg: %q, Want: fmt.Sprintf("%s with %s as in the caches (Reset empties them)", %s), Got: append([]int(nil), %s...), Len: -1}
}`, len(syms), strings.Join(values, ", "), fill.String(), b.fail, b.fn, a.Name,
		declared(a), strings.Join(syms, " = %d, ")+" = %d", batchArgs(len(syms)), shapeSlice(b.vars[first], len(a.Shape)))
}

func batchArgs(n int) string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("s.batch[%d]", i)
	}
	return strings.Join(s, ", ")
}

// advanceCaches prints the end of a call that filled more of the caches.
func (g *gen) advanceCaches(b *binder) {
	if _, adds, ok := b.position(); ok {
		b.line("s.filled += %s", adds)
	}
}
