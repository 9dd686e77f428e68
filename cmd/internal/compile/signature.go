package compile

import (
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/runtime/drive"
)

// A Signature is what the text alone says about the model that is trained: its
// loss and functions with the names of dims, before dims have values.
type Signature struct {
	Loss    drive.Func
	Entries []drive.Func
	// Hyper are the hyperparameters with their defaults, 0 if those are not
	// plain numbers. Dims that the options fix are numbers in Loss and Entries.
	Hyper map[string]int
}

// Signature reads the train block called trainer, or the first, of the model
// that the options name. It is nil if there is none or the text has mistakes:
// then compiling it tells why.
func (s *Source) Signature(o Options, trainer string) *Signature {
	d := s.layer(o.Model)
	if d == nil {
		return nil
	}
	fixed := map[string]int{}
	for name, text := range o.Set {
		if n, err := strconv.Atoi(text); err == nil {
			fixed[name] = n
		}
	}
	for _, x := range o.Dims {
		if x.Rel == "=" {
			fixed[x.Name] = x.N
		}
	}
	g := &Signature{Hyper: map[string]int{}}
	for _, p := range d.Generics {
		if _, ok := fixed[p.Name.Text]; !ok {
			g.Hyper[p.Name.Text] = literal(p.Default)
		}
	}
	minimize := ""
	for _, m := range d.Members {
		b, ok := m.(*dsl.BlockDecl)
		if !ok || b.Kind != dsl.KindTrain || trainer != "" && b.Name.Text != trainer || minimize != "" {
			continue
		}
		for _, e := range b.Entries {
			if set, ok := e.(*dsl.Setting); ok && set.Key == "minimize" {
				if n, ok := set.Values[0].(*dsl.Name); ok {
					minimize = n.Text
				}
			}
		}
	}
	for _, m := range d.Members {
		f, ok := m.(*dsl.FuncDecl)
		if !ok {
			continue
		}
		fn := drive.Func{Name: f.Name.Text, Args: params(f.Params, fixed), Results: params(f.Results, fixed)}
		if r, _ := utf8.DecodeRuneInString(fn.Name); unicode.IsUpper(r) {
			g.Entries = append(g.Entries, fn)
		}
		if fn.Name == minimize {
			g.Loss = fn.WithoutCarried()
		}
	}
	if minimize == "" || g.Loss.Name == "" {
		return nil
	}
	return g
}

// layer is the declaration of a model, that of the original for a variant.
func (s *Source) layer(model string) *dsl.LayerDecl {
	for range s.File.Decls {
		var found *dsl.LayerDecl
		for _, x := range s.File.Decls {
			d, ok := x.(*dsl.LayerDecl)
			if ok && found == nil && (d.Name.Text == model || model == "" && d.Kind == dsl.KindModel) {
				found = d
			}
		}
		if found == nil || found.Alias == nil {
			return found
		}
		model = baseName(found.Alias)
	}
	return nil
}

// baseName is the model of which an expression makes a variant.
func baseName(e dsl.Expr) string {
	switch e := e.(type) {
	case *dsl.Name:
		return e.Text
	case *dsl.Index:
		return baseName(e.X)
	case *dsl.Call:
		return baseName(e.Fun)
	}
	return "?"
}

// literal is a whole number in the text, or 0.
func literal(e dsl.Expr) int {
	if e == nil {
		return 0
	}
	n, err := strconv.ParseInt(fmt.Sprint(e), 0, 64)
	if err != nil {
		return 0
	}
	return int(n)
}

func params(ps []*dsl.Param, fixed map[string]int) []drive.Arg {
	var out []drive.Arg
	for _, p := range ps {
		a := drive.Arg{Elem: p.Type.Name.Text}
		if p.Name != nil {
			a.Name = p.Name.Text
		}
		for _, e := range p.Type.Dims {
			d := drive.Dim{Name: fmt.Sprint(e)}
			if n := literal(e); n > 0 {
				d = drive.Dim{N: n}
			} else if n := fixed[d.Name]; n > 0 {
				d.N = n
			}
			a.Dims = append(a.Dims, d)
		}
		out = append(out, a)
	}
	return out
}

// Trainee describes a compiled model to package drive. The trainer is the i-th.
func (m *Model) Trainee(i int) drive.Program {
	api := m.Program.API
	t := api.Trainers[i]
	p := drive.Program{Model: api.Model, Carries: len(t.Carried) > 0, Bounds: map[string]int{}, Options: map[string]float64{}}
	for _, w := range api.Weights {
		if !w.State {
			p.Params += w.Len()
		}
	}
	carried := map[int]bool{}
	for _, c := range t.Carried {
		carried[c.Arg] = true
	}
	p.Loss = function(t.Loss, carried)
	for _, o := range t.Options {
		p.Options[o.Name] = o.Default
	}
	for _, a := range t.Loss.Args {
		for _, d := range a.Shape {
			for _, sym := range d.Syms() {
				if n := bound(t.Loss, sym); n > 0 {
					p.Bounds[sym] = n
				}
			}
		}
	}
	for _, e := range api.Entries {
		if plain(e) {
			p.Entries = append(p.Entries, function(e, nil))
		}
	}
	return p
}

// plain is whether a function can be called with tensors alone.
func plain(e *loop.Entry) bool {
	ok := !e.Random && !e.Caches && len(e.Results) > 0
	for _, a := range e.Args {
		ok = ok && !a.IsDim && a.Default == nil && len(a.Shape) > 0
	}
	return ok
}

func function(e *loop.Entry, leaveOut map[int]bool) drive.Func {
	f := drive.Func{Name: e.Name}
	for i, a := range e.Args {
		if !leaveOut[i] {
			f.Args = append(f.Args, argument(a))
		}
	}
	for _, r := range e.Results {
		f.Results = append(f.Results, argument(r))
	}
	return f
}

func argument(p loop.Param) drive.Arg {
	a := drive.Arg{Name: p.Name, Elem: p.Elem.String()}
	for _, d := range p.Shape {
		x := drive.Dim{Name: d.String()}
		if n, ok := d.Const(); ok {
			x = drive.Dim{N: n}
		}
		a.Dims = append(a.Dims, x)
	}
	return a
}

// bound is the greatest value that a dim may have according to the conditions
// of an entry, 0 if there is none.
func bound(e *loop.Entry, sym string) int {
	const most = 1 << 24
	best := most
	for _, n := range e.Need {
		if syms := n.Expr.Syms(); len(syms) != 1 || syms[0] != sym {
			continue
		}
		holds := func(x int) bool {
			v, err := n.Expr.Eval(map[string]int{sym: x})
			return err == nil && v >= 0
		}
		if holds(most) {
			continue
		}
		lo, hi := 0, most // holds(lo) or nothing does
		for hi-lo > 1 {
			if mid := (lo + hi) / 2; holds(mid) {
				lo = mid
			} else {
				hi = mid
			}
		}
		best = min(best, lo)
	}
	if best == most {
		return 0
	}
	return best
}
