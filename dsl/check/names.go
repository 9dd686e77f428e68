package check

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A nameRule is one line of a names block.
type nameRule struct {
	at    *dsl.Setting
	parts []namePart
	expr  *loop.NameExpr
	dims  []dim // of the result, if they are known; else nil
	rank  int   // of the result; -1 if it is not known
	hits  int   // tensors of ours that it gives
}

// names compiles a names block: how a foreign checkpoint maps to the weights.
// Every tensor of ours must have exactly one rule, of its shape.
func (b *block) names(m *ir.Module) {
	t := &loop.NameTable{Name: b.decl.Name.Text}
	var rules []*nameRule
	ok := true
	for _, e := range b.decl.Entries {
		ok = b.try(func() {
			switch e := e.(type) {
			case *dsl.Ignore:
				for _, p := range e.Patterns {
					t.Ignore = append(t.Ignore, p.Value)
				}
			case *dsl.Setting:
				r := b.nameRule(e)
				rules = append(rules, r)
				t.Rules = append(t.Rules, loop.NameRule{Pattern: e.Key, Expr: r.expr})
			case *dsl.Group:
				b.failf(e, "a names block has no groups")
			default:
				b.silent()
			}
		}) && ok
	}
	if !ok {
		b.silent()
	}
	for _, w := range b.out.weights {
		b.try(func() { b.named(w, rules) })
	}
	m.API.Names = append(m.API.Names, t)
}

func (b *block) nameRule(s *dsl.Setting) *nameRule {
	if !s.Quoted {
		b.fail(b.errorf(s.KeyAt, "a names block maps paths in quotes, found `%s`", s.Key).Helpf("write `\"%s\" = \"their.name\"`", s.Key))
	}
	if len(s.Values) != 1 {
		b.failf(s.Values[1], "one name is needed here")
	}
	r := &nameRule{at: s, rank: -1}
	r.parts = b.holes(s.KeyAt, s.Key)
	for _, p := range r.parts {
		if p.hole != "" && p.plus != 0 {
			b.failf(s.KeyAt, "a hole on the left is a plain name: `{%s}`", p.hole)
		}
	}
	r.expr = b.nameExpr(r, s.Values[0])
	return r
}

// named checks that exactly one rule gives each copy of w, and its shape.
func (b *block) named(w *storage, rules []*nameRule) {
	lacking, total := 0, 0
	each(w.path, w.counts, func(name string) {
		total++
		var found *nameRule
		for _, r := range rules {
			holes := map[string]string{}
			if !matchParts(r.parts, name, holes) {
				continue
			}
			if found != nil {
				b.fail(b.errorf(r.at.KeyAt, "`%s` has two names", name).Note(found.at.KeyAt, "here").Note(r.at.KeyAt, "and here"))
			}
			found = r
			b.addable(r, r.expr, name, holes)
		}
		if found == nil {
			lacking++
			return
		}
		found.hits++
		dims := w.typ.dims
		shape := ctype{w.typ.elem, dims}
		e := found.at.Values[0]
		switch {
		case found.dims != nil && !sameDims(found.dims, dims):
			b.failf(e, "`%s` is %s, but this gives [%s]", name, shape, dimList(found.dims))
		case found.dims == nil && found.rank >= 0 && found.rank != len(dims):
			b.failf(e, "`%s` is %s, but this gives %s", name, shape, plural(found.rank, "axis", "axes"))
		case found.expr.Op == "transpose" && len(dims) < 2:
			b.failf(e, "`%s` is %s; `.T` needs at least two axes", name, shape)
		}
	})
	if lacking == 0 {
		return
	}
	path := w.path
	for i, letter := range []string{"i", "j", "k", "l"} {
		path = strings.ReplaceAll(path, fmt.Sprintf("{%d}", i), "{"+letter+"}")
	}
	b.failf(b.decl.Name, "no name for `%s` in names %s (%s)", path, b.decl.Name.Text, plural(lacking, "tensor", "tensors"))
}

// each calls f with the names of all copies of a path.
func each(path string, counts []int, f func(name string)) {
	if len(counts) == 0 {
		f(path)
		return
	}
	last := len(counts) - 1
	each(path, counts[:last], func(p string) {
		for i := range counts[last] {
			f(strings.ReplaceAll(p, fmt.Sprintf("{%d}", last), strconv.Itoa(i)))
		}
	})
}

// addable checks that numbers are added only to holes that match numbers.
func (b *block) addable(r *nameRule, e *loop.NameExpr, name string, holes map[string]string) {
	for _, p := range b.holes(r.at, e.Name) {
		if v, bound := holes[p.hole]; bound && p.plus != 0 && !isDigits(v) {
			b.failf(r.at.Values[0], "`{%s}` is `%s` for %s, to which nothing can be added", p.hole, v, name)
		}
	}
	for _, a := range e.Args {
		b.addable(r, a, name, holes)
	}
}

// nameExpr translates the right side of a rule and finds out its shape.
func (b *block) nameExpr(r *nameRule, e dsl.Expr) *loop.NameExpr {
	switch e := dsl.Unparen(e).(type) {
	case *dsl.String:
		b.holes(e, e.Value)
		r.dims, r.rank = nil, -1
		return &loop.NameExpr{Op: "tensor", Name: e.Value}
	case *dsl.Select:
		if e.Name.Text != "T" {
			b.failf(e, "a foreign tensor has no `.%s`", e.Name.Text)
		}
		x := b.nameExpr(r, e.X)
		if n := len(r.dims); n >= 2 {
			r.dims = append(append([]dim{}, r.dims[:n-2]...), r.dims[n-1], r.dims[n-2])
		}
		return &loop.NameExpr{Op: "transpose", Args: []*loop.NameExpr{x}}
	case *dsl.Binary:
		if e.Op == "+" {
			x := b.nameExpr(r, e.X)
			dims, rank := r.dims, r.rank
			y := b.nameExpr(r, e.Y)
			if r.dims == nil {
				r.dims, r.rank = dims, max(rank, r.rank)
			}
			return &loop.NameExpr{Op: "add", Args: []*loop.NameExpr{x, y}}
		}
	case *dsl.Index:
		return b.nameSlice(r, e)
	case *dsl.Call:
		return b.nameCall(r, e)
	}
	b.fail(b.errorf(e, "`%s` cannot stand in a names block", e).
		Helpf("the right side is made of names in quotes, `.T`, permute, reshape, concat, stack, slices and `+`"))
	return nil
}

// nameSlice is "name"[lo:hi] on one axis.
func (b *block) nameSlice(r *nameRule, e *dsl.Index) *loop.NameExpr {
	x := b.nameExpr(r, e.X)
	out := x
	for axis, it := range e.Items {
		if it.Kind != dsl.ItemSlice {
			b.failf(it, "only slices `a:b` can be taken of a foreign tensor")
		}
		if it.Lo == nil && it.Hi == nil {
			continue
		}
		if it.Hi == nil {
			b.failf(it, "a slice of a foreign tensor needs its end")
		}
		lo := 0
		if it.Lo != nil {
			lo = b.whole(it.Lo)
		}
		hi := b.whole(it.Hi)
		if lo < 0 || hi <= lo {
			b.failf(it, "the slice %d:%d is empty", lo, hi)
		}
		out = &loop.NameExpr{Op: "slice", Args: []*loop.NameExpr{out}, Ints: []int{axis, lo, hi}}
		if r.dims != nil && axis < len(r.dims) {
			r.dims = append([]dim{}, r.dims...)
			r.dims[axis] = number(hi - lo)
		}
	}
	return out
}

// whole is a constant integer.
func (b *block) whole(e dsl.Expr) int {
	n, ok := b.dim(e).Const()
	if !ok {
		b.failf(e, "this must be a constant")
	}
	return n
}

// nameCall is permute(x, …), reshape[…](x), concat(…) or stack(…).
func (b *block) nameCall(r *nameRule, e *dsl.Call) *loop.NameExpr {
	fun := e.Fun
	var items []*dsl.Item
	if x, ok := fun.(*dsl.Index); ok {
		fun, items = x.X, x.Items
	}
	n, _ := fun.(*dsl.Name)
	op := ""
	if n != nil {
		op = n.Text
	}
	out := &loop.NameExpr{Op: op}
	var rest []dsl.Expr
	axis := 0
	if op == "concat" {
		axis = -1
	}
	for _, a := range e.Args {
		if a.Name != nil {
			if a.Name.Text != "axis" || op != "concat" && op != "stack" {
				b.failf(a, "`%s` has no parameter `%s`", fun, a.Name.Text)
			}
			axis = b.whole(a.Value)
			continue
		}
		rest = append(rest, a.Value)
	}
	arg := func() {
		if len(rest) == 0 {
			b.failf(e, "`%s` needs a foreign tensor", fun)
		}
		out.Args = []*loop.NameExpr{b.nameExpr(r, rest[0])}
	}
	switch op {
	case "permute":
		arg()
		seen := make([]bool, len(rest)-1)
		dims := r.dims
		r.dims, r.rank = nil, len(seen)
		for _, x := range rest[1:] {
			k := b.whole(x)
			if k < 0 || k >= len(seen) || seen[k] {
				b.failf(x, "`permute` must name each of the %d axes once", len(seen))
			}
			seen[k] = true
			out.Ints = append(out.Ints, k)
			if len(dims) == len(seen) {
				r.dims = append(r.dims, dims[k])
			}
		}
		return out
	case "reshape":
		arg()
		if len(rest) > 1 {
			b.failf(rest[1], "`reshape` takes one tensor")
		}
		r.dims = b.shapeItems(items)
		r.rank = len(r.dims)
		for i, d := range r.dims {
			n, ok := d.Const()
			if !ok {
				b.failf(items[i], "this must be a constant")
			}
			out.Ints = append(out.Ints, n)
		}
		return out
	case "concat", "stack":
		if len(rest) == 0 {
			b.failf(e, "`%s` needs foreign tensors", fun)
		}
		for _, x := range rest {
			out.Args = append(out.Args, b.nameExpr(r, x))
		}
		if axis < 0 {
			b.fail(b.errorf(e, "`concat` of foreign tensors needs its axis, counted from the front").Helpf("write `axis = 0`"))
		}
		r.dims, r.rank = nil, -1
		out.Ints = []int{axis}
		return out
	}
	b.fail(suggest(b.errorf(fun, "`%s` cannot stand in a names block", fun), op, []string{"permute", "reshape", "concat", "stack"},
		"there are permute, reshape, concat and stack"))
	return nil
}

// A namePart of a pattern is text, or a hole with a number to add to it.
type namePart struct {
	text string
	hole string
	plus int
}

// holes takes a pattern apart: "h.{i+1}.w" is text, the hole i plus 1, text.
func (b *block) holes(at dsl.Node, pattern string) []namePart {
	var parts []namePart
	for pattern != "" {
		text, rest, open := strings.Cut(pattern, "{")
		if text != "" {
			parts = append(parts, namePart{text: text})
		}
		if !open {
			break
		}
		hole, after, closed := strings.Cut(rest, "}")
		if !closed {
			b.failf(at, "the hole `{%s` is never closed", hole)
		}
		p := namePart{hole: strings.TrimSpace(hole)}
		if k := strings.IndexAny(hole, "+-"); k >= 0 {
			n, err := strconv.Atoi(strings.ReplaceAll(hole[k:], " ", ""))
			if err != nil {
				b.failf(at, "the hole `{%s}` is neither a name nor a name plus a number", hole)
			}
			p.hole, p.plus = strings.TrimSpace(hole[:k]), n
		}
		if p.hole == "" {
			b.failf(at, "a hole needs a name: `{i}`")
		}
		parts = append(parts, p)
		pattern = after
	}
	return parts
}

// matchParts fits a name to a pattern and enters what its holes match: a piece
// without a dot.
func matchParts(parts []namePart, name string, holes map[string]string) bool {
	if len(parts) == 0 {
		return name == ""
	}
	p := parts[0]
	if v, bound := holes[p.hole]; p.hole == "" || bound {
		if p.hole == "" {
			v = p.text
		}
		rest, ok := strings.CutPrefix(name, v)
		return ok && matchParts(parts[1:], rest, holes)
	}
	for n := 1; n <= len(name) && name[n-1] != '.'; n++ {
		holes[p.hole] = name[:n]
		if matchParts(parts[1:], name[n:], holes) {
			return true
		}
		delete(holes, p.hole)
	}
	return false
}
