package passes

import (
	"fmt"

	"github.com/lmc-lang/lmc/ir/loop"
)

// natives adds to k, which is new to the program, its forms in vectors: the
// group is scheduled again for each target, with the same buffers and places.
// What has no such form runs portable code on every target.
func (s *scheduler) natives(k *kernel) error {
	if s.p.API.Float64 || k.Wide {
		return nil
	}
	for _, t := range loop.Targets {
		b, p := k.again()
		if p.kind != contraction {
			continue
		}
		n := b.nativeDot(p, t)
		if n == nil {
			continue
		}
		n = loop.Tidy(n)
		adopt(k.Kernel, n)
		if err := n.Verify(); err != nil {
			return fmt.Errorf("bug in pass schedule: native form for %s: %w", t.Name, err)
		}
		k.Native = append(k.Native, loop.Native{Target: t, Kernel: n})
	}
	return nil
}

// adopt gives n the arguments of k, whose native form it is: the same buffers in
// the same order, also those that only k needs; what only n needs is local.
func adopt(k, n *loop.Kernel) {
	byName := map[string]*loop.Buffer{}
	for _, b := range n.Bufs {
		byName[b.Name] = b
	}
	var bufs []*loop.Buffer
	for _, b := range k.Bufs {
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
