package passes

import (
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A view says how a kernel addresses a tensor that it gets as a buffer. The
// zero view is a buffer that holds just the tensor, row-major.
type view struct {
	strides []ir.Dim          // per axis, if not row-major
	moves   []loop.StrideTerm // added to the address: Coef for each count of the loop Var
	len     ir.Dim            // of the buffer, if strides are set
	shift   ir.Dim            // added to the address
	whole   *alloc            // results with the same whole share a buffer
	over    bool              // of a result: an operand read by the same kernel is in its memory
	counter string            // the value is the counter of this loop; there is no buffer
}

func (w view) plain() bool { return w.strides == nil && w.counter == "" }

// A kernel is a scheduled group: the loop.Kernel and what its buffers are.
type kernel struct {
	*loop.Kernel
	params  []int    // per input buffer: the parameter of the body
	results []int    // per output buffer that is no scratch: the result of the body
	ints    []string // per Kernel.Ints: the loop
	// updates[j] is the parameter that has to be in the memory of result j
	// before the kernel runs, which then writes a part of it; -1 for none.
	updates []int
	// again begins the kernel anew, for a native form.
	again func() (*kernelBuilder, *plan)
}

// inPlace reports whether result j may be written over parameter i.
func (k *kernel) inPlace(i, j int) bool {
	a, b := slices.Index(k.params, i), slices.Index(k.results, j)
	return a >= 0 && b >= 0 && slices.Contains(k.InPlace, [2]int{a, len(k.params) + b})
}

// A kernelBuilder schedules the body of one group.
type kernelBuilder struct {
	*emitter
	body    *ir.Func
	out     map[*ir.Value][]storage // where results go; a value may be two results
	ints    map[string]*loop.Val
	loops   []string
	updates []int
	// parallel has the counters of loops whose iterations are independent.
	parallel map[*loop.Val]bool
	names    bufferNames
	wholes   map[*alloc]*loop.Buffer
	over     map[*ir.Value]bool // results that replace an operand in its memory: written once, at the end
	// native: loops are for vectorise. Sums are not split, columns of sums stay
	// in registers, and loops inside a row are in parallel, too, but for their sums.
	native bool

	// Of chains:
	sequential bool                       // the rows of a piece are computed one after the other
	rowOf      map[*ir.Value]*loop.Buffer // local memory for a row of values
	limit      *loop.Val                  // only so many indices inside a row matter; nil: all
	flops      ir.Dim                     // of the whole kernel, where loops do not show it
}

// scheduleGroup makes the kernel of body, called name, for tensors addressed as
// the views say.
func scheduleGroup(name, doc string, body *ir.Func, params, results []view) (*kernel, error) {
	b, p := newKernelBuilder(name, doc, body, params, results)
	switch p.kind {
	case rows:
		b.rows(p)
	case columns:
		b.columns(p)
	case contraction:
		b.contraction(p)
	case untiled:
		b.untiled(p)
	case chained:
		b.chained(p)
	default:
		b.naive()
	}
	k, err := b.finish()
	if err == nil {
		k.again = func() (*kernelBuilder, *plan) { return newKernelBuilder(name, doc, body, params, results) }
		if p.kind == rows && !b.sequential {
			k.overwriteRows()
		}
	}
	return k, err
}

// newKernelBuilder has the buffers of a group, and a plan for it.
func newKernelBuilder(name, doc string, body *ir.Func, params, results []view) (*kernelBuilder, *plan) {
	b := &kernelBuilder{emitter: newEmitter(name), body: body, out: map[*ir.Value][]storage{}, ints: map[string]*loop.Val{}, parallel: map[*loop.Val]bool{}, wholes: map[*alloc]*loop.Buffer{}, over: map[*ir.Value]bool{}, rowOf: map[*ir.Value]*loop.Buffer{}}
	b.K.Doc = doc
	names := bufferNames{}
	b.names = names
	for i, p := range body.Params {
		if c := params[i].counter; c != "" {
			continue
		}
		b.in[p] = b.storage(names.pick(p.Scope, "x"), p.Type, params[i], false)
	}
	for _, v := range params {
		for _, m := range v.moves {
			b.counter(m.Var)
		}
	}
	for j, r := range body.Results {
		b.updates = append(b.updates, -1)
		b.over[r] = b.over[r] || results[j].over
		b.out[r] = append(b.out[r], b.storage(names.pick("", "y"), r.Type, results[j], true))
	}
	for i, p := range body.Params {
		if c := params[i].counter; c != "" {
			b.bind(p, nil, b.ConvertTo(loop.I32, b.counter(c)))
		}
	}
	return b, planBody(body, b.in)
}

// counter is the kernel's integer for the loop over the given variable.
func (b *kernelBuilder) counter(loopVar string) *loop.Val {
	v := b.ints[loopVar]
	if v == nil {
		v = b.Int(loopVar)
		b.ints[loopVar] = v
		b.loops = append(b.loops, loopVar)
	}
	return v
}

func (b *kernelBuilder) storage(name string, t ir.Type, w view, out bool) storage {
	s := storage{strides: w.strides}
	n := w.len
	if w.strides == nil {
		s.strides, n = rowMajor(t.Shape), t.Len()
	}
	s.base = loop.AtDim(w.shift)
	if s.buf = b.wholes[w.whole]; s.buf == nil || !out {
		s.buf = b.Buffer(name, t.Elem, n, out)
		if w.whole != nil && out {
			b.wholes[w.whole] = s.buf
		}
	}
	for _, m := range w.moves {
		s.base = s.base.Add(loop.At(b.counter(m.Var)).Scale(m.Coef))
	}
	return s
}

// store writes x to every buffer that holds element idx of the result v.
func (b *kernelBuilder) store(v *ir.Value, idx []loop.Index, x *loop.Val) {
	for _, s := range b.out[v] {
		b.Store(s.buf, s.address(idx), x)
	}
}

// nest loops over shape; the iterations are independent.
func (b *kernelBuilder) nest(shape []ir.Dim, body func(idx []loop.Index)) {
	b.Nest(shape, func(idx []loop.Index) {
		for _, i := range idx {
			for _, t := range i.Terms {
				b.parallel[t.Var] = true
			}
		}
		body(idx)
	})
}

// steps is For in steps of n; after becomes the counter at which the rest begins.
func (b *kernelBuilder) steps(name string, from, to loop.Bound, n int, init []*loop.Val, after **loop.Val, body func(i *loop.Val, phi []*loop.Val) []*loop.Val) []*loop.Val {
	out := b.For(name, from, to, n, init, body)
	*after = b.NewVal(loop.Int, name)
	b.LastLoop().After = *after
	return out
}

// naive computes every result in loops of its own.
func (b *kernelBuilder) naive() {
	done := map[*ir.Value]bool{}
	for j, r := range b.body.Results {
		if done[r] {
			continue
		}
		done[r] = true
		switch {
		case r.Op == ops.ScatterAdd && r.Args[0].Op == ir.Param:
			b.scatterAdd(j, r)
		case r.Op == ops.Tiles:
			ops.EmitTiles(&b.Emitter, r, b.nest, func(idx []loop.Index, x *loop.Val) { b.store(r, idx, x) })
		case r.Op.Lower != nil:
			r.Op.Lower(&b.Emitter, r, b.out[r][0].buf)
		case r.Op == ops.DynUpdate && r.Args[0].Op == ir.Param:
			b.update(j, r)
		default:
			b.nest(r.Type.Shape, func(idx []loop.Index) { b.store(r, idx, b.pull(r, idx)) })
		}
	}
}

// update writes only the new part of result j, a DynUpdate of what is in its
// memory already.
func (b *kernelBuilder) update(j int, r *ir.Value) {
	b.updates[j] = slices.Index(b.body.Params, r.Args[0])
	y, axis := r.Args[1], ops.Axis.Of(r)
	start := b.ConvertTo(loop.Int, b.pull(r.Args[2], nil))
	last := r.Type.Shape[axis].Sub(y.Type.Shape[axis]).AddN(1)
	at := loop.At(b.Do(loop.Check, start, b.SizeOf(last)))
	b.updated(r)
	b.nest(y.Type.Shape, func(idx []loop.Index) {
		x := b.pull(y, idx)
		to := slices.Clone(idx)
		to[axis] = to[axis].Add(at)
		b.store(r, to, x)
	})
}

// scatterAdd adds to what is in the memory of result j already.
func (b *kernelBuilder) scatterAdd(j int, r *ir.Value) {
	b.updates[j] = slices.Index(b.body.Params, r.Args[0])
	b.updated(r)
	ops.EmitScatterAdd(&b.Emitter, r, func(to []loop.Index, x *loop.Val) {
		for _, s := range b.out[r] {
			at := s.address(to)
			b.Store(s.buf, at, b.Do(loop.Add, b.Load(s.buf, at), x))
		}
	})
}

// updated notes that the memory of r is changed in part.
func (b *kernelBuilder) updated(r *ir.Value) {
	for _, s := range b.out[r] {
		s.buf.Update = true
	}
}

// finish cleans the kernel up and describes its buffers.
func (b *kernelBuilder) finish() (*kernel, error) {
	tidy(b.K)
	gridify(b.Builder, b.parallel)
	setCost(b.K)
	if !b.flops.Is(0) {
		b.K.Cost.FLOPs = b.flops
		b.K.Grid.Grain = grainFor(b.flops, b.K.Grid.N, worthADispatch)
	}
	k := &kernel{Kernel: b.K, ints: b.loops, updates: b.updates}
	used := map[*loop.Buffer]bool{}
	walk(b.K.Body, func(s loop.Stmt) {
		switch s := s.(type) {
		case *loop.Load:
			used[s.Buf] = true
		case *loop.Extern:
			for _, sp := range s.Bufs {
				used[sp.Buf] = true
			}
		}
	})
	for _, v := range b.body.Values { // native forms may read the panels
		if v.Op == ops.Packed {
			used[b.in[v.Args[1]].buf] = true
		}
	}
	var bufs []*loop.Buffer
	for i, p := range b.body.Params {
		if s, ok := b.in[p]; ok && used[s.buf] {
			bufs = append(bufs, s.buf)
			k.params = append(k.params, i)
		}
	}
	known := map[*loop.Buffer]bool{}
	for _, s := range b.in {
		known[s.buf] = true
	}
	seen := map[*ir.Value]int{}
	for j, r := range b.body.Results {
		s := b.out[r][seen[r]]
		seen[r]++
		if !known[s.buf] {
			bufs = append(bufs, s.buf)
			k.results = append(k.results, j)
		}
		known[s.buf] = true
	}
	for _, s := range b.K.Bufs {
		if !known[s] {
			bufs = append(bufs, s) // scratch
		}
	}
	b.K.Bufs = bufs
	readEarly(b.K)
	if !b.sequential { // there, no row may be overwritten before the last one is computed
		b.K.InPlace = accessesOf(b.K).inPlace()
	}
	return k, b.K.Verify()
}

// walk calls f for each statement, outer ones first.
func walk(body []loop.Stmt, f func(loop.Stmt)) {
	for _, s := range body {
		f(s)
		switch s := s.(type) {
		case *loop.For:
			walk(s.Body, f)
		case *loop.If:
			walk(s.Then, f)
			walk(s.Else, f)
		}
	}
}

// bufferNames gives the buffers of a kernel short names.
type bufferNames map[string]int

func (n bufferNames) pick(scope, otherwise string) string {
	name := identifier(scope[strings.LastIndexByte(scope, '.')+1:])
	if name == "" {
		name = otherwise
	}
	n[name]++
	if c := n[name]; c > 1 {
		return n.pick(name+strconv.Itoa(c), name)
	}
	return name
}

// identifier keeps the letters and digits of s that a Go name may have.
func identifier(s string) string {
	out := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	return strings.TrimLeft(out, "0123456789")
}

// camel joins the segments of a path: blocks.attn.qkv becomes blocksAttnQkv.
func camel(parts ...string) string {
	var out strings.Builder
	for _, p := range parts {
		for _, w := range strings.FieldsFunc(p, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
		}) {
			if w = identifier(w); w == "" {
				continue
			}
			if out.Len() == 0 {
				out.WriteString(strings.ToLower(w[:1]) + w[1:])
			} else {
				out.WriteString(strings.ToUpper(w[:1]) + w[1:])
			}
		}
	}
	return out.String()
}
