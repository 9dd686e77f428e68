package codegen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A binder prints the boundary of a method that runs an entry point: parameters,
// the sizes they bind, and the checks. Everything behind it may rely on them.
type binder struct {
	g      *gen
	e      *loop.Entry
	fn     string            // name of the method in messages, a Go expression
	names  scope             // of the method
	vars   []string          // Go variable of each argument
	data   []string          // the slice of each argument, for the procedure
	absent []bool            // arguments that the caller of the method does not pass
	fail   string            // the values that go before err in a return statement
	syms   map[string]string // Go variable of each symbol
	used   map[string]bool   // symbols that the body mentions
	body   strings.Builder
	err    error
}

func (g *gen) newBinder(e *loop.Entry, fn string, names scope) *binder {
	b := &binder{g: g, e: e, fn: fn, names: names, syms: map[string]string{}, used: map[string]bool{}}
	b.vars, b.data, b.absent = make([]string, len(e.Args)), make([]string, len(e.Args)), make([]bool, len(e.Args))
	for i, a := range e.Args {
		if len(a.Shape) > maxRank {
			b.err = fmt.Errorf("%s: %s has rank %d; arguments may have rank %d at most", e.Name, a.Name, len(a.Shape), maxRank)
		}
		if a.Default == nil {
			b.vars[i] = names.pick(a.Name, "Arg")
		}
	}
	for _, r := range e.Results {
		if len(r.Shape) > maxRank {
			b.err = fmt.Errorf("%s: the result %s has rank %d; results may have rank %d at most", e.Name, r.Name, len(r.Shape), maxRank)
		}
	}
	return b
}

func (b *binder) line(format string, args ...any) { fmt.Fprintf(&b.body, format+"\n", args...) }

// check appends a statement that returns if the expression is an error.
func (b *binder) check(expr string) {
	b.line("if err = %s; err != nil {\nreturn %serr\n}", expr, b.fail)
}

// sym is the variable of a symbol, which is declared because something asked.
func (b *binder) sym(n string) string {
	b.used[n] = true
	if b.syms[n] == "" {
		b.err = fmt.Errorf("bug in codegen: %s: nothing binds the size %s", b.e.Name, n)
	}
	return b.syms[n]
}

func (b *binder) dim(d loop.Dim) string { return dimExpr(d, b.sym, false) }

// source says where a symbol comes from: an axis of an argument that is there.
func (b *binder) source(bind loop.Bind) (loop.Bind, bool) {
	if !b.absent[bind.Arg] {
		return bind, true
	}
	for i, a := range b.e.Args {
		for k, d := range a.Shape {
			if !b.absent[i] && d.Eq(loop.Sym(bind.Sym)) {
				return loop.Bind{Sym: bind.Sym, Arg: i, Axis: k}, true
			}
		}
	}
	return bind, false
}

// checks prints the checks of all arguments that are there.
func (b *binder) checks() {
	type place struct{ arg, axis int }
	binds := map[place]bool{}
	for _, d := range b.e.Dims {
		d, ok := b.source(d)
		if !ok {
			b.err = fmt.Errorf("%s: nothing but a carried argument says what %s is", b.e.Name, d.Sym)
			return
		}
		if d.Axis < 0 {
			v := b.vars[d.Arg]
			b.syms[d.Sym] = v
			b.line("if %s < 0 {\nreturn %sneed(%s, %q, runtime.DimValue{Name: %q, Value: %s})\n}",
				v, b.fail, b.fn, d.Sym+" >= 0", d.Sym, v)
			b.g.uses["need"] = true
			continue
		}
		b.syms[d.Sym] = b.names.pick(d.Sym)
		binds[place{d.Arg, d.Axis}] = d.Times == 0
	}
	for i, a := range b.e.Args {
		if b.absent[i] || a.IsDim || a.Default != nil || len(a.Shape) == 0 {
			continue
		}
		want := make([]string, len(a.Shape))
		for k, d := range a.Shape {
			want[k] = "-1"
			if !binds[place{i, k}] {
				want[k] = b.dim(d)
			}
		}
		v, rank := b.vars[i], len(a.Shape)
		b.check(fmt.Sprintf("runtime.CheckShape(modelName, %s, %q, %q, %s, len(%s), %s)",
			b.fn, a.Name, declared(a), shapeSlice(v, rank), data(v, rank), strings.Join(want, ", ")))
	}
	for _, n := range b.e.Need {
		b.need(n)
	}
	for _, r := range b.e.Ranges {
		a := b.e.Args[r.Arg]
		if b.absent[r.Arg] {
			continue
		}
		v, rank := b.vars[r.Arg], len(a.Shape)
		x, shape := data(v, rank), shapeSlice(v, rank)
		if rank == 0 {
			x, shape = "[]int32{"+v+"}", "nil"
		}
		b.check(fmt.Sprintf("runtime.CheckIndex(modelName, %s, %q, %s, %s, %s)", b.fn, a.Name, x, shape, b.dim(r.N)))
	}
}

// shapeSlice is the shape of a variable as a slice.
func shapeSlice(v string, rank int) string {
	if rank == 1 {
		return "[]int{len(" + v + ")}"
	}
	return v + ".Shape[:]"
}

// need prints one condition of the entry point.
func (b *binder) need(n loop.Need) {
	if c, ok := n.Expr.Const(); ok && c >= 0 {
		return
	}
	var plus, minus loop.Dim
	for _, t := range n.Expr.Terms() {
		if t.Coef > 0 {
			plus = plus.Add(t.Dim())
		} else {
			minus = minus.Sub(t.Dim())
		}
	}
	var got []string
	for _, s := range n.Expr.Syms() {
		got = append(got, fmt.Sprintf("runtime.DimValue{Name: %q, Value: %s}", s, b.sym(s)))
	}
	b.g.uses["need"] = true
	b.line("if %s > %s {\nreturn %sneed(%s, %q, %s)\n}", b.dim(minus), b.dim(plus), b.fail, b.fn, n.Text, strings.Join(got, ", "))
}

// declarations binds the symbols that the body mentions.
func (b *binder) declarations() string {
	var names, values []string
	solved := ""
	for _, d := range slices.Backward(b.e.Dims) { // what is solved uses those before it
		if d, ok := b.source(d); ok && d.Axis >= 0 && d.Times > 0 && b.used[d.Sym] {
			n := extent(b.vars[d.Arg], len(b.e.Args[d.Arg].Shape), d.Axis)
			if !d.Rest.Is(0) {
				n += " - " + dimExpr(d.Rest, b.sym, true)
			}
			if d.Times > 1 {
				n = fmt.Sprintf("runtime.FloorDiv(%s, %d)", n, d.Times)
			}
			solved = fmt.Sprintf("%s := %s\n", b.syms[d.Sym], n) + solved
		}
	}
	for _, d := range b.e.Dims {
		if d, ok := b.source(d); ok && d.Axis >= 0 && d.Times == 0 && b.used[d.Sym] {
			names = append(names, b.syms[d.Sym])
			values = append(values, extent(b.vars[d.Arg], len(b.e.Args[d.Arg].Shape), d.Axis))
		}
	}
	if len(names) == 0 {
		return solved
	}
	return strings.Join(names, ", ") + " := " + strings.Join(values, ", ") + "\n" + solved
}

// inputs gives every argument its slice: tensors their own, scalars a slot of
// memory. slots counts the slots taken, by element type.
func (b *binder) inputs(slots *[3]int) {
	for i, a := range b.e.Args {
		switch {
		case b.absent[i] || a.IsDim:
		case len(a.Shape) > 0:
			b.data[i] = data(b.vars[i], len(a.Shape))
		default:
			v := b.vars[i]
			if a.Default != nil {
				v = "o." + upper(identifier(a.Name))
			}
			if !b.passes(a.Name) {
				continue
			}
			slot := b.g.slot(a.Elem, slots)
			b.line("s.m.%s = %s", slot, v)
			b.data[i] = "s.m." + slotSlice(slot)
		}
	}
}

// passes is whether the procedure reads the argument.
func (b *binder) passes(name string) bool {
	for _, v := range b.g.procs[b.e.Proc].args {
		if v.name == name {
			return true
		}
	}
	return false
}

// slot takes the next slot of memory for a scalar.
func (g *gen) slot(e loop.Elem, slots *[3]int) string {
	i := slots[e]
	slots[e]++
	g.slots[e] = max(g.slots[e], slots[e])
	return [...]string{"floatSlots", "intSlots", "flagSlots"}[e] + "[" + strconv.Itoa(i) + "]"
}

// slotSlice is a slot as a slice of length 1.
func slotSlice(slot string) string {
	name, i, _ := strings.Cut(strings.TrimSuffix(slot, "]"), "[")
	n, _ := strconv.Atoi(i)
	return fmt.Sprintf("%s[%d:%d:%d]", name, n, n+1, n+1)
}

// run is the call of the procedure; results gives the slice of each result.
func (b *binder) run(receiver string, results map[string]string) string {
	p := b.g.procs[b.e.Proc]
	var args []string
	for _, n := range p.syms {
		args = append(args, b.sym(n))
	}
	if len(p.vars) > 0 {
		b.err = fmt.Errorf("bug in pass plan: %s uses the counter %s of no loop", p.Name, p.vars[0])
	}
	for _, v := range p.args {
		x := ""
		for i, a := range b.e.Args {
			if a.Name == v.name {
				x = b.data[i]
			}
		}
		if x == "" {
			b.err = fmt.Errorf("bug in pass plan: %s reads %s, which is no argument of %s", p.Name, v.name, b.e.Name)
		}
		args = append(args, x)
	}
	for _, v := range p.results {
		x := results[v.name]
		if x == "" {
			b.err = fmt.Errorf("bug in pass plan: %s writes %s, which is no result of %s", p.Name, v.name, b.e.Name)
		}
		args = append(args, x)
	}
	return fmt.Sprintf("%s.%s(%s)", receiver, p.method, strings.Join(args, ", "))
}

// grow are the statements that make room in the arena, or nothing. Procedures may
// be several: the largest arena counts.
func (b *binder) grow(receiver string, procs ...*loop.Proc) string {
	var plans strings.Builder
	var need [3][]string
	for e := range need {
		most := 0
		for _, p := range procs {
			most = max(most, p.Arena[e])
		}
		need[e] = append(need[e], strconv.Itoa(most))
	}
	for _, p := range procs {
		x := b.g.procs[p]
		if x.plan == "" {
			continue
		}
		var args []string
		for _, n := range x.slotSyms() {
			args = append(args, b.sym(n))
		}
		fmt.Fprintf(&plans, "%s.%s(%s)\n", receiver, x.planner, strings.Join(args, ", "))
		for e := range need {
			if slices.ContainsFunc(p.Slots, func(s loop.Slot) bool { return s.Elem == loop.Elem(e) }) {
				need[e] = append(need[e], fmt.Sprintf("%s.%s.Need[%d]", receiver, x.plan, e))
			}
		}
	}
	var args []string
	any := false
	for e, exprs := range need {
		if !b.g.uses[[...]string{"floats", "ints", "flags"}[e]] {
			continue
		}
		args = append(args, largest(exprs))
		any = any || args[len(args)-1] != "0"
	}
	if !any {
		return plans.String()
	}
	b.g.uses["grow"] = true
	return plans.String() + fmt.Sprintf("%s.grow(%s)", receiver, strings.Join(args, ", "))
}

// largest is the maximum of a number and other expressions, which are not
// negative.
func largest(exprs []string) string {
	if exprs[0] == "0" && len(exprs) > 1 {
		exprs = exprs[1:]
	}
	if len(exprs) == 1 {
		return exprs[0]
	}
	return "max(" + strings.Join(exprs, ", ") + ")"
}
