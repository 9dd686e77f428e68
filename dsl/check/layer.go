package check

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir/loop"
)

// An instance is a layer with its dims, options and sub-layers, at its place
// in the model. The copies of a stack share one instance.
type instance struct {
	of       *layerDecl
	name     string    // in messages: nn.Linear[64, 256]
	path     string    // pattern: blocks.{0}.attn; empty for the model
	layer    dsl.Expr  // of the field, in file; nil for the model
	file     *dsl.File // of the field
	up       *instance // whose field it is
	counts   []int     // copies, outermost stack first
	env      map[string]value
	order    []string   // of env
	stores   []*storage // in order
	parts    []part     // stores and sub-layers in order
	funcs    map[string]*dsl.FuncDecl
	methods  []*dsl.FuncDecl // funcs in order
	bounds   []*dsl.DimItem  // dim T <= C
	blocks   []*dsl.BlockDecl
	poisoned map[string]bool // names of members that have an error
}

// A part is a store or a sub-layer.
type part struct {
	store *storage
	field *instance
}

// walk calls f for all stores of the instance and its sub-layers, in the order
// of the text.
func (in *instance) walk(f func(*storage)) {
	for _, p := range in.parts {
		if p.store != nil {
			f(p.store)
		} else {
			p.field.walk(f)
		}
	}
}

// A storage is a tensor of the model: a parameter, state or cache in all its
// copies.
type storage struct {
	kind   dsl.TensorKind
	path   string
	typ    ctype // of one copy
	counts []int
	init   loop.Init
	doc    string
	decl   *dsl.TensorDecl
	at     *dsl.Name
	file   *dsl.File
	index  int  // in the API's table of its kind
	used   bool // some method reads or writes it
	bound  bool // the free dims of a cache are those of the session
}

// whole is the type of all copies together: [counts..., dims...].
func (s *storage) whole() ctype {
	dims := make([]dim, 0, len(s.counts)+len(s.typ.dims))
	for _, n := range s.counts {
		dims = append(dims, number(n))
	}
	return ctype{s.typ.elem, append(dims, s.typ.dims...)}
}

// A layer is one copy of an instance as a value: at says which.
type layer struct {
	inst *instance
	at   []copyOf // one per count of inst
}

// A copyOf picks a copy of a stack: the one at the counter of a loop, or a constant.
type copyOf struct {
	loop *frame
	n    int
}

// A stack is a field with a count: [L]Block.
type stack struct {
	inst  *instance
	count dim
	at    []copyOf // of the layer that it is a field of
	name  string   // of the field
}

func (l *layer) show() string { return "the layer " + l.inst.name }
func (s *stack) show() string { return fmt.Sprintf("%s layers", s.count) }

// element is the copy of s that at picks.
func (s *stack) element(at copyOf) *layer {
	return &layer{s.inst, append(append([]copyOf{}, s.at...), at)}
}

// names lists the members of the instance, for suggestions.
func (in *instance) names() []string {
	out := append([]string{}, in.order...)
	for _, s := range in.stores {
		out = append(out, s.at.Text)
	}
	return append(out, sortedKeys(in.funcs)...)
}

// store returns the tensor of the instance called name, or nil.
func (in *instance) store(name string) *storage {
	for _, s := range in.stores {
		if s.at.Text == name {
			return s
		}
	}
	return nil
}

// tensor returns the variable behind the tensor of l called name, or nil.
func (l *layer) tensor(c *checker, name string) *variable {
	s := l.inst.store(name)
	if s == nil || c.entry == nil {
		return nil
	}
	s.used = true
	s.bindDims(c)
	v := c.entry.root(s)
	for _, at := range l.at {
		if at.loop != nil {
			if w := at.loop.slice(v, 0); w != nil {
				v = w
				continue
			}
		}
		v = &variable{name: name, used: true, of: v, part: &copyOf{at.loop, at.n}}
	}
	return v
}

// bindDims gives the free dims of a cache the names that the first method to
// use it knows them by: B of a library layer may be N of the model.
func (s *storage) bindDims(c *checker) {
	if s.kind != dsl.KindCache || s.bound || c.fn.file != s.file {
		return
	}
	names := map[string]loop.Dim{}
	for _, d := range s.typ.dims {
		for _, sym := range d.Syms() {
			if b, ok := c.fn.dims[sym].(dim); ok {
				names[sym], s.bound = b.Dim, true
			}
		}
	}
	dims := make([]dim, len(s.typ.dims))
	for i, d := range s.typ.dims {
		dims[i] = plain(d.Subst(names))
		if dims[i].Eq(d.Dim) {
			dims[i].text = d.text
		}
	}
	s.typ.dims = dims
}

// member is what l declares under name, other than tensors.
func (l *layer) member(c *checker, name string) (value, bool) {
	if l.inst.poisoned[name] {
		return poison{}, true
	}
	if v, ok := l.inst.env[name]; ok {
		switch v := v.(type) {
		case *layer:
			return &layer{v.inst, l.at}, true
		case *stack:
			return &stack{v.inst, v.count, l.at, v.name}, true
		}
		return v, true
	}
	if m := l.inst.funcs[name]; m != nil {
		return &function{decl: m, pkg: l.inst.of.pkg, file: l.inst.of.file, self: l}, true
	}
	return nil, false
}

// generics prints [D, H] after the name of a layer.
func generics(gs []*dsl.Generic) string {
	if len(gs) == 0 {
		return ""
	}
	s := make([]string, len(gs))
	for i, g := range gs {
		s[i] = g.Name.Text
	}
	return "[" + strings.Join(s, ", ") + "]"
}
