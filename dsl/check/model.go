package check

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"path"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// An output is what the entries of one module share.
type output struct {
	stores  []*storage // all tensors of the model, in order
	weights []*storage
	caches  []*storage
	tables  []*table
}

// model checks the model d and makes its module; nil after an error. dims are
// the hyperparameters that are not to be the defaults.
func (c *checker) compileModel(d *layerDecl, dims map[string]dim, opts map[string]*argument) *ir.Module {
	errs := c.errors
	in := c.instance(d, dims, opts)
	if in == nil || !c.dimOptions(d, in) {
		return nil
	}
	c.model = in
	c.layout(in)
	m := &ir.Module{API: &loop.API{
		Package: c.root.name, Model: d.decl.Name.Text, Float64: c.opt.Float64,
		Doc: d.decl.Doc, Source: path.Base(d.file.Name),
	}}
	if m.API.Doc == "" {
		m.API.Doc = d.file.Doc
	}
	self := &layer{inst: in}
	for _, f := range in.methods {
		if !exported(f.Name.Text) {
			continue
		}
		fn := &function{decl: f, pkg: in.of.pkg, file: in.of.file, self: self}
		c.training = true
		c.compile(fn, nil) // for its messages: what only training does
		c.training = false
		if e := c.compile(fn, nil); e != nil {
			m.Entries = append(m.Entries, e.fn)
			m.API.Entries = append(m.API.Entries, e.api)
		}
	}
	c.blocks(in, m)
	if c.errors > errs {
		return nil
	}
	c.unusedParams(in)
	c.describe(m)
	if c.errors > errs {
		return nil
	}
	return m
}

// outside makes the state in which the declarations of a package are evaluated.
func (c *checker) outside(d *layerDecl) {
	c.begin(d.decl.Name.Text)
	c.fn = &activation{pkg: d.pkg, file: d.file, name: d.decl.Name.Text, dims: map[string]value{}, frame: c.fr}
	c.sc = &scope{names: map[string]*variable{}}
}

// instance instantiates the model d.
func (c *checker) instance(d *layerDecl, dims map[string]dim, opts map[string]*argument) (in *instance) {
	c.outside(d)
	c.out = &output{}
	errs := c.errors
	ok := c.try(func() {
		r := c.modelRequest(d, dims, opts)
		in = c.instantiate(r, d.decl.Name, "", nil)
	})
	if !ok || c.errors > errs {
		return nil
	}
	return in
}

// modelRequest is what the model d is without brackets, with given dims and
// options on top.
func (c *checker) modelRequest(d *layerDecl, dims map[string]dim, opts map[string]*argument) *request {
	r := &request{decl: d, dims: map[string]dim{}, opts: map[string]*argument{}}
	if d.decl.Alias != nil {
		r = c.requestOf(d.decl.Alias)
	}
	for k, v := range dims {
		r.dims[k] = v
	}
	for k, v := range opts {
		r.opts[k] = v
	}
	for _, p := range r.decl.decl.Params {
		if p.Default == nil && r.opts[p.Name.Text] == nil {
			c.failf(d.decl.Name, "the model `%s` needs a default for its option `%s`", d.decl.Name.Text, p.Name.Text)
		}
	}
	return r
}

// maxWeights is how many numbers a model may hold: far more than fit into any
// memory, and few enough to count.
const maxWeights = 1 << 45

// layout numbers the tensors of the model.
func (c *checker) layout(in *instance) {
	c.out = &output{}
	total := 0.0
	in.walk(func(s *storage) {
		n := 1.0
		for _, d := range s.whole().dims {
			if k, ok := d.Const(); ok {
				n *= float64(k)
			}
		}
		if total += n; total > maxWeights {
			d := c.errorf(s.at, "the model is too large: more than %.0f numbers", float64(maxWeights))
			d.File = s.file.Name
			c.report(d)
			total = math.Inf(-1) // once
		}
		for _, n := range s.counts {
			if n == 0 {
				return
			}
		}
		c.out.stores = append(c.out.stores, s)
		if s.kind == dsl.KindCache {
			s.index = len(c.out.caches)
			c.out.caches = append(c.out.caches, s)
		} else {
			s.index = len(c.out.weights)
			c.out.weights = append(c.out.weights, s)
		}
	})
}

// describe fills the tables of the API.
func (c *checker) describe(m *ir.Module) {
	offset := 0
	for _, s := range c.out.weights {
		w := &loop.Weight{
			Path: s.path, Shape: s.typ.shape(), Counts: s.counts, State: s.kind == dsl.KindState,
			Offset: offset, Init: s.init, Doc: s.doc,
		}
		offset += w.Len()
		m.API.Weights = append(m.API.Weights, w)
	}
	next := map[ir.Elem]loop.Dim{}
	for _, s := range c.out.caches {
		m.API.Caches = append(m.API.Caches, &loop.Cache{
			Path: s.path, Elem: s.typ.elem, Shape: s.typ.shape(), Counts: s.counts, Offset: next[s.typ.elem],
		})
		next[s.typ.elem] = next[s.typ.elem].Add(product(s.whole().dims))
	}
	for _, t := range c.out.tables {
		m.API.Tables = append(m.API.Tables, &loop.TableData{Name: t.name, Elem: t.elem, Shape: t.shape, Data: t.data})
	}
	m.API.Hash = hashOf(m)
}

// hashOf is the hash of what the model computes and of how its weights lie.
func hashOf(m *ir.Module) string {
	h := sha256.New()
	for _, w := range m.API.Weights {
		fmt.Fprintln(h, w.Path, w.Shape, w.Counts, w.State)
	}
	for _, e := range m.Entries {
		fmt.Fprintln(h, e.Func)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// unusedParams reports parameters of the model that no method reads: they
// would never get a gradient.
func (c *checker) unusedParams(in *instance) {
	c.fn = &activation{pkg: in.of.pkg, file: in.of.file, dims: map[string]value{}}
	c.trace = nil
	for _, s := range in.stores {
		if !s.used && s.kind == dsl.KindParam {
			d := c.errorf(s.at, "parameter `%s` is never used", s.at.Text)
			d.File = s.file.Name
			c.report(d.Helpf("it would never get a gradient; delete it"))
		}
	}
}
