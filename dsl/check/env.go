package check

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// A checker checks one model (or free func) in one mode.
type checker struct {
	*world
	model    *instance // the model being checked; nil for free funcs
	training bool
	dry      bool // only messages are wanted: tables need no values
	rigid    bool // bounds that cannot be proved are assumed: checks without a caller

	fr    *frame      // where values are made
	fn    *activation // whose names are in scope
	sc    *scope      // innermost scope of fn
	trace []string    // how we came here, outermost first
	entry *entry      // the entry point being written
	out   *output     // the module being written
	lits  *literals   // of the block being compiled: numbers that become options

	facts []fact // what holds here, see prove.go

	failed    bool // something was reported
	errors    int  // how much
	depth     int  // of nested expressions
	nested    int  // layers being instantiated
	aliases   int  // variants being followed
	optimises pack // the shape of the parameter that the optimizer is for
	quiet     int  // > 0: report nothing
	prefix    string
	severity  dsl.Severity
}

// An activation is a func that is being run, or the members of a layer.
type activation struct {
	pkg    *pkg
	file   *dsl.File
	self   *layer // nil for funcs outside layers
	decl   *dsl.FuncDecl
	name   string           // in messages: Logits, nn.Linear[D, D]
	dims   map[string]value // dims (dim) and the pack "..." (pack) bound for this call
	frame  *frame           // where it started
	loops  int              // loops of its own around the present statement
	result value
	done   bool // a return was seen
	up     *activation
}

// A scope holds the names that one pair of braces declares.
type scope struct {
	up    *scope
	names map[string]*variable
	order []*variable
	index bool      // of index notation: an access may depend on indices
	def   *indexing // the index definition that it belongs to, or nil
}

// enter runs f in a new scope and reports what was declared there and not used.
func (c *checker) enter(f func()) {
	errors := c.errors
	c.sc = &scope{up: c.sc, names: map[string]*variable{}}
	f()
	if c.errors == errors { // else what uses them may not have been reached
		for _, v := range c.sc.order {
			c.unused(v)
		}
	}
	c.sc = c.sc.up
}

// unused reports v if nobody has read it.
func (c *checker) unused(v *variable) {
	if _, bad := v.val.(poison); v.used || v.decl == nil || bad {
		return
	}
	d := c.errorf(v.decl, "`%s` is declared and not used", v.name)
	d.File = v.file.Name
	c.report(d.Helpf("delete it, or write `_`"))
}

// declare makes name a variable of the innermost scope; it may shadow one of
// the same scope. A nil node makes one that need not be used.
func (c *checker) declare(name string, at dsl.Node, val value) *variable {
	if t, ok := val.(tensor); ok {
		val = c.fr.here(t)
	}
	v := &variable{name: name, decl: at, file: c.fn.file, home: c.fr, val: val}
	if old := c.sc.names[name]; old != nil {
		c.unused(old)
		old.used = true
	}
	c.sc.names[name] = v
	c.sc.order = append(c.sc.order, v)
	return v
}

// skip marks what n uses as used: it is not checked, because a condition is
// false or a return came before it.
func (c *checker) skip(n dsl.Node) {
	dsl.Walk(n, func(n dsl.Node) bool {
		if n, ok := n.(*dsl.Name); ok {
			if v := c.sc.find(n.Text); v != nil {
				v.used = true
			}
		}
		return true
	})
}

// find returns the variable called name of the innermost scope that has one.
func (s *scope) find(name string) *variable {
	for ; s != nil; s = s.up {
		if v := s.names[name]; v != nil {
			return v
		}
	}
	return nil
}

// inIndex tells whether the present expression belongs to index notation.
func (s *scope) inIndex() bool {
	for ; s != nil; s = s.up {
		if s.index {
			return true
		}
	}
	return false
}

// lookup gives the value of a name: a variable, a dim, what the layer, the
// package or the language declares.
func (c *checker) lookup(n *dsl.Name) value {
	if v := c.variableOf(n); v != nil {
		v.used = true
		val := c.live(c.fr.read(v))
		if t, is := val.(*table); is {
			return c.entry.table(c, t)
		}
		return val
	}
	if v, ok := c.known(n.Text); ok {
		if t, is := v.(*table); is {
			return c.entry.table(c, t)
		}
		return c.live(v)
	}
	c.undeclared(n)
	return nil
}

// live ends the statement silently if v is poisoned.
func (c *checker) live(v value) value {
	if _, bad := v.(poison); bad {
		c.silent()
	}
	return v
}

// variableOf returns the variable or tensor of the model that n names, if it
// names one; it does not read it.
func (c *checker) variableOf(n *dsl.Name) *variable {
	if v := c.sc.find(n.Text); v != nil {
		return v
	}
	if _, ok := c.fn.dims[n.Text]; ok {
		return nil
	}
	if c.fn.self != nil {
		return c.fn.self.tensor(c, n.Text)
	}
	return nil
}

// known is lookup for names that are not variables.
func (c *checker) known(name string) (value, bool) {
	if v, ok := c.fn.dims[name]; ok {
		return v, true
	}
	if l := c.fn.self; l != nil {
		if v, ok := l.member(c, name); ok {
			return v, true
		}
	}
	p := c.fn.pkg
	if v, ok := c.global(p, name); ok {
		return v, true
	}
	if q := c.fn.pkg.imports[c.fn.file][name]; q != nil {
		return q, true
	}
	if v, ok := c.predeclared(name); ok {
		return v, true
	}
	if p != c.prelude && c.prelude != nil {
		return c.global(c.prelude, name)
	}
	return nil, false
}

// global is a const, func or layer of package p.
func (c *checker) global(p *pkg, name string) (value, bool) {
	if p.poisoned[name] {
		return poison{}, true
	}
	if d := p.consts[name]; d != nil {
		return c.globalConst(p, d), true
	}
	if f := p.funcs[name]; f != nil {
		return f, true
	}
	if d := p.layers[name]; d != nil {
		return d, true
	}
	return nil, false
}

// predeclared are the names of the language.
func (c *checker) predeclared(name string) (value, bool) {
	switch name {
	case "training":
		return boolean(c.training), true
	case "step":
		if c.entry != nil && c.entry.step != nil {
			return *c.entry.step, true
		}
		return nil, false
	}
	if v, ok := constants[name]; ok {
		return v, true
	}
	if b := builtins[name]; b != nil {
		return b, true
	}
	return nil, false
}

var constants = map[string]value{
	"true":  boolean(true),
	"false": boolean(false),
	"inf":   num{f: inf, kind: untypedFloat},
	"nan":   num{f: nan, kind: untypedFloat},
	"pi":    num{f: pi, kind: untypedFloat},
	"f32":   elemType{ir.F32},
	"i32":   elemType{ir.I32},
	"bool":  elemType{ir.Bool},
}

// undeclared reports that n means nothing here.
func (c *checker) undeclared(n *dsl.Name) {
	d := c.errorf(n, "`%s` is not declared", n.Text)
	capital := isCapital(n.Text)
	if capital {
		for _, k := range c.fn.pkg.dimNames { // short names: one letter more or less
			if len(k)-len(n.Text) == 1 && strings.HasPrefix(k, n.Text) || len(n.Text)-len(k) == 1 && strings.HasPrefix(n.Text, k) {
				c.fail(d.Helpf("did you mean the dimension `%s`? A new one is declared with `dim %s` at the top of the file", k, n.Text))
			}
		}
	}
	help := ""
	if c.fn.pkg.dims[n.Text] != nil {
		d.Msg = "the dimension `" + n.Text + "` is not known here"
		if c.fn.decl == nil {
			c.fail(d.Helpf("sizes of parameters are constants: make it a dimension of the layer, `[%s = …]`", n.Text))
		}
		c.fail(d.Helpf("no argument has it in its shape; pass it as a parameter: `%s dim`", n.Text))
	}
	if from := c.elsewhere(n.Text); from != "" {
		c.fail(d.Helpf("%s", from))
	}
	if capital {
		help = "if it is a dimension, declare it with `dim " + n.Text + "` at the top of the file"
	}
	c.fail(suggest(d, n.Text, c.visible(), help))
}

// elsewhere says how to come by a name that the standard library has: a
// package that is not imported, or what stands in one.
func (c *checker) elsewhere(name string) string {
	imported := c.fn.pkg.imports[c.fn.file]
	for _, p := range dsl.StdNames() {
		switch {
		case p == "prelude":
		case p == name:
			return "write `import \"" + p + "\"` at the top of the file"
		case isCapital(name) && stdDeclares(p)[name] && imported[p] != nil:
			return "did you mean `" + p + "." + name + "`?"
		case isCapital(name) && stdDeclares(p)[name]:
			return "did you mean `" + p + "." + name + "`? It needs `import \"" + p + "\"`"
		}
	}
	return ""
}

// stdDeclares is the set of layers and optimizers of a package of the library.
func stdDeclares(name string) map[string]bool {
	out := map[string]bool{}
	src, _ := dsl.Std(name)
	f, _ := dsl.Parse(name, src)
	for _, d := range f.Decls {
		if l, ok := d.(*dsl.LayerDecl); ok {
			out[l.Name.Text] = true
		}
	}
	return out
}

// visible lists all names that could stand here, nearest first.
func (c *checker) visible() []string {
	var out []string
	for s := c.sc; s != nil; s = s.up {
		for _, v := range s.order {
			out = append(out, v.name)
		}
	}
	out = append(out, sortedKeys(c.fn.dims)...)
	if l := c.fn.self; l != nil {
		out = append(out, l.inst.names()...)
	}
	out = append(out, c.fn.pkg.names()...)
	out = append(out, sortedKeys(c.fn.pkg.imports[c.fn.file])...)
	if c.prelude != nil {
		out = append(out, c.prelude.names()...)
	}
	out = append(out, sortedKeys(builtins)...)
	return append(out, sortedKeys(constants)...)
}

func isCapital(s string) bool { return s != "" && s[0] >= 'A' && s[0] <= 'Z' }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
