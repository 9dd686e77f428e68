package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// solveUntile plans a group of the untile v, which pointwise values may follow.
func (p *plan) solveUntile(v *ir.Value, see through) bool {
	p.kind, p.untile = untiled, v
	if len(p.closure(v.Args[0], see)) > 0 {
		return false
	}
	return p.follow(v)
}

// untiled emits an untile: what follows it is computed from each of its
// elements while that is in a register.
func (b *kernelBuilder) untiled(p *plan) {
	v := p.untile
	var finish []*ir.Value
	for _, w := range p.members {
		if w != v && p.output[w] {
			finish = append(finish, w)
		}
	}
	ops.EmitUntile(&b.Emitter, v, b.nest, func(idx []loop.Index, x *loop.Val) {
		b.bind(v, idx, x)
		row := make([]loop.Index, len(p.extents))
		for i, r := range p.rowOf[v] {
			if r >= 0 {
				row[r] = idx[i]
			}
		}
		xs := make([]*loop.Val, len(finish))
		for i, w := range finish {
			xs[i] = b.pull(w, p.at(w, row, nil))
		}
		for i, w := range finish {
			b.store(w, p.at(w, row, nil), xs[i])
		}
		b.store(v, idx, x)
	})
}
