package check

import (
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// constTable is a const in index notation: a table, computed in float64 when
// the model is compiled.
func (c *checker) constTable(d *dsl.ConstDecl) value {
	fr, e, facts, path := c.fr, c.entry, c.facts, c.fr.g.Scope
	defer func() { c.fr, c.entry, c.facts, c.fr.g.Scope = fr, e, facts, path }()
	c.fr = newFrame(nil, d.Name.Text)
	c.entry = &entry{
		name: e.name, frame: c.fr, low: e.low, zero: e.zero, ranges: map[string]loop.Dim{},
		draws: map[string]int{}, stores: map[*storage]*variable{}, tables: map[string]*variable{},
	}
	c.at(d)
	span := dsl.Join(d.Index[0], d.Index[len(d.Index)-1])
	t := c.indexDefinition(&dsl.Index{Span: span.Range(), X: d.Name, Items: d.Index}, d.Value)
	out := &table{name: d.Name.Text, elem: t.elem, dims: t.dims}
	n := 1
	for i, x := range t.dims {
		k, ok := x.Const()
		if !ok {
			c.failf(d.Index[min(i, len(d.Index)-1)], "the size of a table must be known when the model is compiled, but this is %s", x)
		}
		out.shape = append(out.shape, k)
		n *= k
	}
	if n > 1<<26 {
		c.failf(d.Name, "a table of %d elements is too large", n)
	}
	if c.dry {
		return out
	}
	out.data = c.evaluate(d, t)
	return out
}

// evaluate runs the frame of a table.
func (c *checker) evaluate(d *dsl.ConstDecl, t tensor) []float64 {
	fn := c.fr.g.F
	fn.Results = []*ir.Value{t.v}
	live := liveIn(fn)
	var params []*ir.Value
	var in []*ir.Data
	for _, p := range c.entry.lazy {
		if !live[p.v.ID] {
			continue
		}
		if p.bind.Kind != ir.TableKind {
			c.fail(c.errorf(d.Value, "a table must be known when the model is compiled, but this depends on `%s`", p.bind.Name))
		}
		o := c.out.tables[p.bind.Index]
		x, err := ir.DataOf(o.elem, o.shape, o.data)
		if err != nil {
			c.silent() // its own definition has been reported
		}
		params, in = append(params, p.v), append(in, x)
	}
	c.fr.close(params)
	for _, v := range fn.Values {
		if v.Op == ir.Param && !contains(params, v) {
			c.failf(d.Value, "a table must be known when the model is compiled")
		}
	}
	if c.fr.g.Err != nil {
		c.failf(d.Value, "bug in check: a table: %v", c.fr.g.Err)
	}
	ev := ir.Evaluator{Wide: true}
	out, err := ev.Run(fn, in)
	if err != nil {
		c.failf(d.Value, "the table `%s` cannot be computed: %v", d.Name.Text, err)
	}
	return out[0].Floats()
}

func contains(list []*ir.Value, v *ir.Value) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}
