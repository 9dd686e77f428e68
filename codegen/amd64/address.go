package amd64

import (
	"github.com/lmc-lang/lmc/ir/loop"
)

// A plan says how the addresses of an innermost loop advance. Where the counter
// is multiplied by the size of an element, it is itself the index of the
// operand. For every other factor there is a product that is added to rather
// than multiplied: an index that all accesses with this factor share or, if
// there is only one, its address.
type plan struct {
	v        *loop.Val
	products []*product
}

// A product is the counter times coef, in bytes.
type product struct {
	coef  loop.Dim
	bases []string // of the accesses with it, without the displacement
	mixed bool     // some of them with a term that the loop computes
	alone bool     // there is one only: of buf at rest
	buf   string
	rest  loop.Index
	reg   *vreg // the product or, if alone, the address
}

func (p *plan) product(coef loop.Dim) *product {
	if p != nil {
		for _, x := range p.products {
			if x.coef.Eq(coef) {
				return x
			}
		}
	}
	return nil
}

// advances reports whether the product t is kept by the plan of the loop.
func (l *lowerer) advances(t loop.IndexTerm) bool {
	p := l.blk.plan
	return p != nil && p.v == t.Var && p.product(t.Coef) != nil && !p.product(t.Coef).alone
}

func elemSize(e loop.Elem) int {
	if e == loop.Bool {
		return 1
	}
	return 4
}

// look finds the products of an innermost loop.
func (l *lowerer) look(s *loop.For) *plan {
	v := s.Var
	p := &plan{v: v}
	inside := map[*loop.Val]bool{}
	for _, c := range s.Carry {
		inside[c.Phi] = true
	}
	access := func(buf *loop.Buffer, at loop.Index) {
		at = l.roots(at).Scale(loop.N(elemSize(buf.Elem)))
		var coef loop.Dim
		mixed := false
		rest := loop.Index{}
		rest.Off, _ = cutConst(at.Off)
		for _, t := range at.Terms {
			if t.Var == v {
				coef = t.Coef
			} else {
				rest.Terms = append(rest.Terms, t)
				mixed = mixed || inside[t.Var]
			}
		}
		if c, ok := coef.Const(); ok && (c == 0 || isScale(c)) {
			return
		}
		x := p.product(coef)
		if x == nil {
			x = &product{coef: coef, buf: buf.Name, rest: rest}
			p.products = append(p.products, x)
		}
		key := ""
		if mixed {
			x.mixed = true
		} else {
			key = sumKey(buf.Name, l.sorted(rest.Terms), rest.Off)
		}
		for _, b := range x.bases {
			if b == key {
				return
			}
		}
		x.bases = append(x.bases, key)
	}
	var walk func(body []loop.Stmt)
	walk = func(body []loop.Stmt) {
		for _, s := range body {
			switch s := s.(type) {
			case *loop.Instr:
				if s.Dst.Elem != loop.Int {
					continue
				}
				if x, ok := l.affine(s); ok {
					l.ints[s.Dst] = x
				} else if s.Op == loop.Check {
					l.ints[s.Dst] = l.sumOf(s.Args[0])
				} else {
					inside[s.Dst] = true
				}
			case *loop.Load:
				access(s.Buf, s.At)
			case *loop.Prefetch:
				access(s.Buf, s.At)
			case *loop.Store:
				access(s.Buf, s.At)
			case *loop.For: // runs once, or not at all
				trips, _ := l.trips(s)
				l.ints[s.Var] = l.bound(s.From)
				same := func(dst, src *loop.Val) {
					if dst.Elem == loop.Int {
						l.ints[dst] = l.sumOf(src)
						inside[dst] = inside[src]
					}
				}
				for _, c := range s.Carry {
					same(c.Phi, c.Init)
				}
				if trips > 0 {
					walk(s.Body)
				}
				for _, c := range s.Carry {
					if trips > 0 {
						same(c.Out, c.Next)
					} else {
						same(c.Out, c.Init)
					}
				}
				if s.After != nil {
					l.ints[s.After] = l.ints[s.Var].Add(loop.AtDim(loop.N(trips * s.Step)))
				}
			case *loop.If:
				walk(s.Then)
				walk(s.Else)
				for _, m := range s.Merge {
					inside[m.Dst] = true
				}
			}
		}
	}
	walk(s.Body)
	for _, x := range p.products {
		x.alone = len(x.bases) == 1 && !x.mixed
	}
	return p
}

// start sets the products of a plan before the loop, which begins at from; the
// current block is around it.
func (l *lowerer) start(p *plan, from loop.Index) {
	for _, x := range p.products {
		x.reg = l.newReg(gp, 8)
		at := from.Scale(x.coef)
		if x.alone {
			l.copy(x.reg, l.sum(x.buf, x.rest.Add(at)))
			continue
		}
		if n, ok := constIndex(at); ok {
			l.op("MOVQ", immArg(n), regArg(x.reg))
			continue
		}
		l.copy(x.reg, l.sum("", at))
	}
}

// advance moves the products of a plan on by step.
func (l *lowerer) advance(p *plan, step int) {
	for _, x := range p.products {
		l.op("ADDQ", l.intArg(loop.AtDim(x.coef.MulN(step))), regArg(x.reg))
	}
}

// address is where buf has the element at, as an operand; without an index
// register if whole is set.
func (l *lowerer) address(buf *loop.Buffer, at loop.Index, whole bool) *mem {
	at = l.roots(at).Scale(loop.N(elemSize(buf.Elem)))
	off, disp := cutConst(at.Off)
	if disp != int(int32(disp)) || disp+256 != int(int32(disp+256)) {
		l.fail("an address in %s is too far: %s", buf.Name, at)
	}
	terms := l.sorted(at.Terms)
	m := &mem{disp: disp}
	// The counter of the innermost loop makes the best index, else the last
	// term to be known.
	index := -1
	if p := l.blk.plan; p != nil {
		for i, t := range terms {
			if t.Var != p.v {
				continue
			}
			if x := p.product(t.Coef); x != nil && x.alone {
				m.base = x.reg
				return m
			}
			index = i
		}
	}
	if n := len(terms); index < 0 && n > 0 {
		index = n - 1
	}
	if index >= 0 && !whole {
		t := terms[index]
		if l.advances(t) {
			m.index, m.scale = l.blk.plan.product(t.Coef).reg, 1
		} else if c, ok := t.Coef.Const(); ok && isScale(c) {
			m.index, m.scale = l.root1(t.Var), c
		}
		if m.index != nil {
			terms = append(terms[:index], terms[index+1:]...)
		}
	}
	m.base = l.partial(buf.Name, terms, off)
	return m
}
