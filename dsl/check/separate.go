package check

import (
	"fmt"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// separate checks that the examples of a loss f32[B] do not influence each
// other: nothing that the loss needs takes the axis B away from what depends
// on the arguments, and no state changes.
func (b *block) separate(e dsl.Expr, loss *ir.Entry) {
	f := loss.Func
	batch := f.Results[0].Type.Shape[0]
	syms := batch.Syms()
	if len(syms) != 1 || !batch.Eq(loop.Sym(syms[0])) {
		return // a fixed number of examples: the pass finds out
	}
	data := make([]bool, len(f.Values))
	for i, p := range f.Params {
		data[p.ID] = loss.In[i].Kind == ir.ArgKind || loss.In[i].Kind == ir.KeyKind
	}
	if v := mixes(f, f.Results[:1], data, syms[0]); v != nil {
		d := b.errorf(e, "`perExample` needs a loss whose examples do not influence each other")
		b.fail(b.blame(d, v, fmt.Sprintf("%s over %s here", v.Op.Name, syms[0])))
	}
}

// mixes finds a value that results need and that has no axis sym, though an
// operand that depends on data has.
func mixes(f *ir.Func, results []*ir.Value, data []bool, sym string) *ir.Value {
	need := make([]bool, len(f.Values))
	for _, r := range results {
		need[r.ID] = true
	}
	for i := len(f.Values) - 1; i >= 0; i-- {
		if need[i] {
			for _, a := range f.Values[i].Args {
				need[a.ID] = true
			}
		}
	}
	for i, v := range f.Values {
		if v.Op == ir.Param {
			continue
		}
		lost := false
		for _, a := range v.Args {
			if data[a.ID] {
				data[i] = true
				lost = lost || has(a.Type, sym)
			}
		}
		if !need[i] {
			continue
		}
		if v.Op == ops.Scan {
			l := ops.LoopOf(v)
			inner := make([]bool, len(l.Body.Values))
			for k, p := range l.Body.Params {
				if k > 0 {
					at := len(v.Args) - len(l.Body.Params) + k
					inner[p.ID] = data[v.Args[at].ID]
				}
			}
			for k := range l.Inits { // what one iteration makes of it
				inner[l.Carry(k).ID] = inner[l.Carry(k).ID] || data[i]
			}
			if w := mixes(l.Body, l.Body.Results, inner, sym); w != nil {
				return w
			}
			continue
		}
		if lost && v.Type.Tuple == nil && !has(v.Type, sym) {
			return v
		}
	}
	return nil
}

// has tells whether an axis of t has the symbol sym in its extent.
func has(t ir.Type, sym string) bool {
	for _, u := range t.Tuple {
		if has(u, sym) {
			return true
		}
	}
	for _, d := range t.Shape {
		for _, s := range d.Syms() {
			if s == sym {
				return true
			}
		}
	}
	return false
}

// blame adds to d where v was written: at the field whose layer it is in, or
// at its own place.
func (b *block) blame(d *dsl.Diagnostic, v *ir.Value, what string) *dsl.Diagnostic {
	if v.Pos.File == d.File {
		at := dsl.Pos{Line: v.Pos.Line, Col: v.Pos.Col}
		end := at
		end.Col++
		d.Notes = append(d.Notes, dsl.Note{Pos: at, End: end, Text: what})
		return d
	}
	what = fmt.Sprintf("%s: %s:%d", what, v.Pos.File, v.Pos.Line)
	in := b.in.at(v.Scope)
	for ; in != nil && in.file.Name != d.File; in = in.up {
	}
	if in == nil {
		d.In = append(d.In, what)
		return d
	}
	d.Note(in.layer, "%s", what)
	if in.of.decl.Name.Text == "BatchNorm" {
		d.Helpf("nn.GroupNorm normalises every example by itself")
	}
	return d
}

// at is the sub-layer at a path without the places of copies, or nil.
func (in *instance) at(path string) *instance {
	if plainPath(in.path) == path {
		return in
	}
	for _, p := range in.parts {
		if p.field != nil {
			if x := p.field.at(path); x != nil {
				return x
			}
		}
	}
	return nil
}
