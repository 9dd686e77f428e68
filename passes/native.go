package passes

import (
	"errors"
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// natives adds to k, which is new to the program, its forms in vectors: the
// group is scheduled again, with the same buffers and places. Contractions and
// transpositions have a form for each target, others one for all of them. What has no such form runs
// portable code on every target.
func (s *scheduler) natives(k *kernel) error {
	if s.p.API.Float64 || k.Wide {
		return nil
	}
	var shared *loop.Kernel
	for _, t := range loop.Targets {
		var n *loop.Kernel
		b, p := k.again()
		native := false
		switch p.kind {
		case contraction:
			native = b.nativeDot(p, t) != nil
		case chained:
			if native = b.nativeChain(p, t) != nil; !native {
				s.refused(k.Kernel, errors.New("a contraction of the chain has no form in vectors"))
				return nil
			}
		default:
			native = b.nativeTranspose()
		}
		if native {
			// What is computed before, after and between the sums is still scalar.
			n, _ = vectorise(b.Builder, b.parallel)
		}
		switch {
		case n != nil:
			adopt(k.Kernel, n)
		case shared != nil:
			n = shared
		default:
			var why error
			if shared, why = nativeLoops(k); why != nil {
				s.refused(k.Kernel, why)
				return nil
			}
			n = shared
		}
		if err := n.Verify(); err != nil {
			return fmt.Errorf("bug in pass schedule: native form for %s: %w", t.Name, err)
		}
		k.Native = append(k.Native, loop.Native{Target: t, Kernel: n})
	}
	return nil
}

// overwriteRows adds to k the pairs of rows that its form in vectors has, too.
func (k *kernel) overwriteRows() {
	var more [][2]int
	for _, x := range accessesOf(k.Kernel).rowPairs() {
		if !slices.Contains(k.InPlace, x) {
			more = append(more, x)
		}
	}
	if len(more) == 0 {
		return
	}
	native := accessesOf(k.loops().K).rowPairs()
	for _, x := range more {
		if slices.Contains(native, x) {
			k.InPlace = append(k.InPlace, x)
		}
	}
}

// loops are k again, for vectorise, with the buffers of k.
func (k *kernel) loops() *kernelBuilder {
	b, p := k.again()
	b.native = true
	switch p.kind {
	case rows, columns:
		b.rows(p)
	case contraction:
		b.products(p)
	case untiled:
		b.untiled(p)
	default:
		b.naive()
	}
	orderLoops(b.K.Body, b.parallel)
	tidy(b.K)
	b.K.Body = joinLoops(b.Builder, b.K.Body, usesOf(b.K), b.parallel)
	readEarly(b.K)
	adopt(k.Kernel, b.K)
	return b
}

// nativeLoops is the form of k that vectorise makes, for all targets; the error
// says why there is none.
func nativeLoops(k *kernel) (*loop.Kernel, error) {
	b := k.loops()
	if n := len(b.K.Arguments()); n < len(b.K.Bufs) {
		return nil, fmt.Errorf("it needs %s besides the memory of the portable kernel", b.K.Bufs[n].Name)
	}
	all := accessesOf(b.K)
	b.K.InPlace = slices.Concat(all.inPlace(), all.rowPairs())
	for _, x := range k.InPlace {
		if !slices.Contains(b.K.InPlace, x) {
			return nil, fmt.Errorf("%s cannot be in the memory of %s", k.Bufs[x[1]].Name, k.Bufs[x[0]].Name)
		}
	}
	n, err := vectorise(b.Builder, b.parallel)
	if err != nil {
		return nil, err
	}
	n.InPlace, n.Cost = k.InPlace, k.Cost
	return n, nil
}

// adopt gives n the arguments of k, whose native form it is: the same buffers in
// the same order, also those that only k needs; what only n needs is local.
func adopt(k, n *loop.Kernel) {
	byName := map[string]*loop.Buffer{}
	for _, b := range n.Bufs {
		byName[b.Name] = b
	}
	var bufs []*loop.Buffer
	for _, b := range k.Arguments() {
		x := byName[b.Name]
		if x == nil || x.Elem != b.Elem || x.Out != b.Out || !x.Len.Eq(b.Len) {
			c := *b
			x = &c
		} else {
			delete(byName, b.Name)
		}
		bufs = append(bufs, x)
	}
	used := map[*loop.Buffer]bool{}
	walk(n.Body, func(s loop.Stmt) {
		switch s := s.(type) {
		case *loop.Load:
			used[s.Buf] = true
		case *loop.Store:
			used[s.Buf] = true
		}
	})
	for _, b := range n.Bufs {
		if byName[b.Name] == b && used[b] {
			b.Out, b.Local = true, true
			bufs = append(bufs, b)
		}
	}
	n.Name, n.Doc, n.Bufs, n.InPlace = k.Name, k.Doc, bufs, k.InPlace
	n.Cost = k.Cost
}
