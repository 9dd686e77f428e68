package check

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// blocks compiles the train, generate and names blocks of the model.
func (c *checker) blocks(in *instance, m *ir.Module) {
	seen := map[string]bool{}
	for _, b := range in.blocks {
		c.outside(in.of)
		c.fn.self = &layer{inst: in}
		if seen[string(b.Kind)+b.Name.Text] {
			c.report(c.errorf(b.Name, "there are two blocks `%s %s`", b.Kind, b.Name.Text))
			continue
		}
		seen[string(b.Kind)+b.Name.Text] = true
		k := &block{checker: c, in: in, decl: b, settings: map[string]*dsl.Setting{}}
		c.try(func() { k.compile(m) })
	}
}

// A block is a train, generate or names block while it is compiled.
type block struct {
	*checker
	in       *instance
	decl     *dsl.BlockDecl
	settings map[string]*dsl.Setting
	groups   []*dsl.Group
	lits     *literals
}

// blockKeys are the settings of the kinds of blocks. Names blocks have patterns.
var blockKeys = map[dsl.BlockKind][]string{
	dsl.KindTrain:    {"minimize", "optimizer", "update", "clip", "noise", "penalty", "accumulate", "ema", "remat"},
	dsl.KindGenerate: {"step", "sample", "stop", "limit"},
}

func (b *block) compile(m *ir.Module) {
	if b.decl.Kind == dsl.KindNames {
		b.names(m)
		return
	}
	b.read(b.decl.Entries)
	if b.decl.Kind == dsl.KindTrain {
		b.train(m)
	} else {
		b.generate(m)
	}
}

// read sorts the entries of a train or generate block.
func (b *block) read(list []dsl.Entry) {
	kind := b.decl.Kind
	failed := false
	for _, e := range list {
		ok := b.try(func() {
			switch e := e.(type) {
			case *dsl.Setting:
				b.setting(e)
			case *dsl.Group:
				if kind != dsl.KindTrain {
					b.failf(e, "a %s block has no groups", kind)
				}
				b.groups = append(b.groups, e)
			case *dsl.Ignore:
				b.failf(e, "`ignore` belongs into a names block")
			case *dsl.Bad:
				b.silent()
			}
		})
		failed = failed || !ok
	}
	if failed {
		b.silent()
	}
	b.override()
}

func (b *block) setting(s *dsl.Setting) {
	kind := b.decl.Kind
	keys := blockKeys[kind]
	known := false
	for _, k := range keys {
		known = known || k == s.Key
	}
	if !known || s.Quoted {
		b.fail(suggest(b.errorf(s.KeyAt, "`%s` has no setting `%s`", kind, s.Key), s.Key, keys, "it has "+strings.Join(keys, ", ")))
	}
	if b.settings[s.Key] != nil {
		b.failf(s.KeyAt, "`%s` is set twice", s.Key)
	}
	if len(s.Values) > 1 && s.Key != "update" && s.Key != "remat" {
		b.failf(s.Values[1], "`%s` has one value", s.Key)
	}
	b.settings[s.Key] = s
}

// override takes the settings of the command line: -set Step.accumulate=4.
func (b *block) override() {
	for _, k := range sortedKeys(b.opt.Set) {
		name, key, ok := strings.Cut(k, ".")
		if !ok || name != b.decl.Name.Text {
			continue
		}
		e, ds := dsl.ParseExpr("-set "+k, []byte(b.opt.Set[k]))
		if len(ds) > 0 {
			b.failf(b.decl.Name, "-set %s=%s: %s", k, b.opt.Set[k], ds[0].Msg)
		}
		if keys := blockKeys[b.decl.Kind]; !slices.Contains(keys, key) {
			b.fail(suggest(b.errorf(b.decl.Name, "-set %s: `%s` has no setting `%s`", k, b.decl.Kind, key), key, keys, "it has "+strings.Join(keys, ", ")))
		}
		b.settings[key] = &dsl.Setting{Span: b.decl.Name.Span, Key: key, KeyAt: b.decl.Name.Span, Values: []dsl.Expr{e}}
	}
}

// value is the only value of a setting, or nil.
func (b *block) value(key string) dsl.Expr {
	if s := b.settings[key]; s != nil {
		return s.Values[0]
	}
	return nil
}

// require is value for a setting that must be there.
func (b *block) require(key, example string) dsl.Expr {
	e := b.value(key)
	if e == nil {
		b.fail(b.errorf(b.decl.Name, "the %s block `%s` needs `%s`", b.decl.Kind, b.decl.Name.Text, key).Helpf("write `%s = %s`", key, example))
	}
	return e
}

// number is the value of a constant setting.
func (b *block) number(key string, other float64) float64 {
	e := b.value(key)
	if e == nil {
		return other
	}
	n, ok := asNum(b.eval(e))
	if !ok || math.IsNaN(n.f) {
		b.failf(e, "`%s` must be a number known when the model is compiled", key)
	}
	return n.f
}

// integer is the value of a constant setting that must be whole and at least least.
func (b *block) integer(key string, least, other int) int {
	f := b.number(key, float64(other))
	if b.value(key) != nil && (f != math.Trunc(f) || f < float64(least) || f > math.MaxInt32) {
		b.failf(b.value(key), "`%s` must be a whole number, at least %d", key, least)
	}
	return int(f)
}

// method is the method of the model that a setting names.
func (b *block) method(e dsl.Expr) *function {
	n, ok := e.(*dsl.Name)
	if !ok {
		b.failf(e, "expected the name of a method, found `%s`", e)
	}
	d := b.in.funcs[n.Text]
	if d == nil {
		var names []string
		for _, m := range b.in.methods {
			names = append(names, m.Name.Text)
		}
		b.fail(suggest(b.errorf(e, "`%s` is not a method of %s", n.Text, b.in.of.decl.Name.Text), n.Text, names, ""))
	}
	return &function{decl: d, pkg: b.in.of.pkg, file: b.in.of.file, self: &layer{inst: b.in}}
}

// literals are the numbers of a block that become options. A number is one if
// it is an argument by itself: lr = 1e-3.
type literals struct {
	fn   *activation // expressions of which are meant
	opts []*literal
}

// A literal is an option of a block.
type literal struct {
	option
	of      string // the parameter that it is given for
	at      dsl.Expr
	elem    ir.Elem
	value   float64
	v       tensor // in the present entry
	current *entry
}

// literal makes the argument s of parameter p an option if it is a number of
// the block being compiled.
func (c *checker) literal(p *dsl.Param, s *argument) {
	l := c.lits
	if l == nil || c.fn != l.fn || s.val != nil || s.expr == nil {
		return
	}
	elem, ok := constants[p.Type.Name.Text].(elemType)
	if !ok || elem.elem == ir.Bool || p.Type.Dims != nil {
		return
	}
	x, sign := dsl.Unparen(s.expr), 1.0
	if u, is := x.(*dsl.Unary); is && u.Op == "-" {
		x, sign = u.X, -1
	}
	n, is := x.(*dsl.Number)
	if !is || elem.elem == ir.I32 && (!n.IsInt() || n.Float() > math.MaxInt32) {
		return
	}
	o := l.find(s.expr)
	if o == nil {
		o = &literal{option: option{name: l.name(p.Name.Text)}, of: p.Name.Text, at: s.expr, elem: elem.elem, value: sign * n.Float()}
		l.opts = append(l.opts, o)
	}
	if o.pinned {
		return
	}
	if o.current != c.entry {
		o.current = c.entry
		o.v = c.entry.param(ctype{elem: o.elem}, ir.Binding{Kind: ir.ScalarKind, Index: -1, Name: o.name})
	}
	kind := typedF32
	if o.elem == ir.I32 {
		kind = typedI32
	}
	v := o.v
	v.soft = &soft{num{o.value, kind}, []*option{&o.option}}
	s.val = v
}

// in is the option as a parameter of the entry e.
func (o *literal) in(e *entry) *ir.Value {
	if o.current == e {
		return o.v.v
	}
	return e.frame.g.Param(o.name, ir.Tensor(o.elem))
}

// api describes the option to users.
func (o *literal) api() loop.Option {
	return loop.Option{Name: o.name, Default: o.value, Integer: o.elem == ir.I32}
}

func (l *literals) find(at dsl.Expr) *literal {
	for _, o := range l.opts {
		if o.at == at {
			return o
		}
	}
	return nil
}

// open lists the options that stay open when the package is used.
func (l *literals) open() []*literal {
	var out []*literal
	for _, o := range l.opts {
		if !o.pinned {
			out = append(out, o)
		}
	}
	return out
}

// settled repeats f until no literal has been found or pinned any more.
func (l *literals) settled(f func()) {
	for {
		n := len(l.opts)
		open := len(l.open())
		f()
		if len(l.opts) == n && len(l.open()) == open {
			return
		}
	}
}

// name is the Go name of an option: LR for lr, Warmup for warmup.
func (l *literals) name(param string) string {
	out := string(unicode.ToUpper(rune(param[0]))) + param[1:]
	if initialisms[strings.ToLower(param)] {
		out = strings.ToUpper(param)
	}
	base := out
	for i := 2; ; i++ {
		free := true
		for _, o := range l.opts {
			free = free && o.name != out
		}
		if free {
			return out
		}
		out = base + string(rune('0'+i%10))
	}
}

var initialisms = map[string]bool{"lr": true, "id": true, "iou": true}
