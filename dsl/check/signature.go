package check

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir/loop"
)

// signature says how the dims of the entry get their values and what must hold.
func (c *checker) signature(a *activation, out *compiled) {
	e := c.entry
	api := out.api
	bound := map[string]bool{}
	for i, p := range e.args {
		if p.IsDim {
			api.Dims = append(api.Dims, loop.Bind{Sym: p.Name, Arg: i, Axis: -1})
			bound[p.Name] = true
		}
	}
	for i, p := range e.args {
		for k, d := range p.Shape {
			for _, s := range d.Syms() {
				if !bound[s] && d.Eq(loop.Sym(s)) {
					bound[s] = true
					api.Dims = append(api.Dims, loop.Bind{Sym: s, Arg: i, Axis: k})
				}
			}
		}
	}
	for more := true; more; {
		more = false
		for i, p := range e.args {
			for k, d := range p.Shape {
				if s, times, rest, ok := solve(d, bound); ok {
					bound[s], more = true, true
					api.Dims = append(api.Dims, loop.Bind{Sym: s, Arg: i, Axis: k, Times: times, Rest: rest})
				}
			}
		}
	}
	unbound := map[string]bool{}
	note := func(d loop.Dim) {
		for _, s := range d.Syms() {
			if !bound[s] {
				unbound[s] = true
			}
		}
	}
	for _, p := range append(slices.Clone(e.args), api.Results...) {
		for _, d := range p.Shape {
			note(d)
		}
	}
	for _, v := range out.fn.Func.Values {
		for _, d := range v.Type.Shape {
			note(d)
		}
	}
	for _, s := range sortedKeys(unbound) {
		c.report(c.errorf(a.decl.Name, "the dimension `%s` of `%s` cannot be known from its arguments", s, a.decl.Name.Text).
			Helpf("no argument has it as an axis of its own; pass it: `%s dim`", s))
	}
	api.Need = c.needsOf(a, bound)
	api.Ranges = e.inside
}

// solve finds the one symbol of d that is not bound yet, if d is times*symbol +
// rest.
func solve(d loop.Dim, bound map[string]bool) (sym string, times int, rest loop.Dim, ok bool) {
	for _, s := range d.Syms() {
		if !bound[s] {
			if sym != "" {
				return "", 0, rest, false
			}
			sym = s
		}
	}
	if sym != "" {
		times, rest, ok = multiple(d, sym)
	}
	return sym, times, rest, ok
}

// multiple writes d as times*sym + rest, times > 0, if it is of that form.
func multiple(d loop.Dim, sym string) (times int, rest loop.Dim, ok bool) {
	rest = d.Subst(map[string]loop.Dim{sym: loop.N(0)})
	times, _ = d.Subst(map[string]loop.Dim{sym: loop.N(1)}).Sub(rest).Const()
	return times, rest, times > 0 && d.Eq(loop.Sym(sym).MulN(times).Add(rest))
}

// needsOf lists the conditions that are checked when the entry is called.
func (c *checker) needsOf(a *activation, bound map[string]bool) []loop.Need {
	e := c.entry
	asserted := e.needs
	e.needs = nil
	for _, b := range e.bindings(bound) {
		if low, ok := e.low[b]; ok && len(low.Syms()) == 0 {
			n, _ := low.Const()
			e.need(loop.Sym(b).AddN(-n), fmt.Sprintf("%s >= %d", b, n))
		} else {
			e.need(loop.Sym(b).AddN(-1), b+" >= 1")
		}
	}
	item := func(it *dsl.DimItem) {
		x, ok := a.dims[it.Name.Text].(dim)
		if !ok || it.Rel == "" || it.Bound == nil {
			return
		}
		c.try(func() {
			d := c.dim(it.Bound)
			p := d.Sub(x.Dim)
			if it.Rel == ">=" {
				p = p.Neg()
			}
			for _, s := range p.Syms() {
				if !bound[s] {
					return
				}
			}
			if n, ok := p.Const(); ok && n >= 0 || it.Rel == ">=" && d.Is(0) {
				return
			}
			e.need(p, fmt.Sprintf("%s %s %s", it.Name.Text, it.Rel, d.poly()))
		})
	}
	for _, n := range a.pkg.dimNames {
		item(a.pkg.dims[n].item)
	}
	if a.self != nil {
		for _, it := range a.self.inst.bounds {
			item(it)
		}
	}
	for _, o := range c.opt.Dims {
		if o.Rel == "<=" && bound[o.Name] {
			e.need(loop.N(o.N).Sub(loop.Sym(o.Name)), fmt.Sprintf("%s <= %d", o.Name, o.N))
		}
	}
	for _, n := range asserted {
		e.need(n.Expr, n.Text)
	}
	return e.needs
}

// bindings lists the symbols that arguments bind, in the order of the arguments.
func (e *entry) bindings(bound map[string]bool) []string {
	var out []string
	add := func(s string) {
		if bound[s] && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, p := range e.args {
		if p.IsDim {
			add(p.Name)
		}
		for _, d := range p.Shape {
			for _, s := range d.Syms() {
				add(s)
			}
		}
	}
	return out
}
