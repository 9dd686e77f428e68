package loop

import (
	"errors"
	"fmt"
	"math"
)

// A compiler turns the statements of a kernel into steps.
type compiler[F float32 | float64] struct {
	m    *machine[F]
	env  map[string]int
	lens []int
	bufs map[*Buffer]int
	regs map[*Val]int
	size [4]int // registers by type
	wide bool
	err  error
}

func compile[F float32 | float64](k *Kernel, env map[string]int, lens []int) (*machine[F], error) {
	c := &compiler[F]{m: &machine[F]{}, env: env, lens: lens, bufs: map[*Buffer]int{}, regs: map[*Val]int{}}
	_, c.wide = any(F(0)).(float64)
	for i, b := range k.Bufs {
		c.bufs[b] = i
	}
	for _, v := range k.Ints {
		c.reg(v)
	}
	if k.Grid != nil {
		c.reg(k.Grid.Lo)
		c.reg(k.Grid.Hi)
	}
	body := c.block(k.Body)
	m := c.m
	m.f, m.n, m.i, m.b = make([]F, c.size[F32]), make([]int32, c.size[I32]), make([]int, c.size[Int]), make([]bool, c.size[Bool])
	m.bufs = make([]cells[F], len(k.Bufs))
	m.body = body
	for _, v := range k.Ints {
		m.ints = append(m.ints, &m.i[c.reg(v)])
	}
	if k.Grid != nil {
		m.lo, m.hi = &m.i[c.reg(k.Grid.Lo)], &m.i[c.reg(k.Grid.Hi)]
	}
	return m, c.err
}

func (c *compiler[F]) reg(v *Val) int {
	r, ok := c.regs[v]
	if !ok {
		r = c.size[v.Elem]
		c.size[v.Elem]++
		if v.Vec {
			c.size[v.Elem] += Lanes - 1
		}
		c.regs[v] = r
	}
	return r
}

func (c *compiler[F]) eval(d Dim) int {
	n, err := d.Eval(c.env)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n
}

func (c *compiler[F]) block(body []Stmt) []step[F] {
	out := make([]step[F], 0, len(body))
	for _, s := range body {
		out = append(out, c.stmt(s))
	}
	return out
}

func (c *compiler[F]) stmt(s Stmt) step[F] {
	switch s := s.(type) {
	case *Instr:
		return c.instr(s)
	case *Load:
		return c.load(s)
	case *Prefetch:
		return func(*machine[F]) {}
	case *Store:
		return c.store(s)
	case *For:
		return c.loop(s)
	case *If:
		return c.branch(s)
	case *Extern:
		return c.extern(s)
	}
	c.err = errors.Join(c.err, fmt.Errorf("unknown statement %T", s))
	return nil
}

// index computes an address; n is the length of the buffer.
func (c *compiler[F]) index(at Index) func(m *machine[F]) int {
	off := c.eval(at.Off)
	switch len(at.Terms) {
	case 0:
		return func(*machine[F]) int { return off }
	case 1:
		r, k := c.reg(at.Terms[0].Var), c.eval(at.Terms[0].Coef)
		return func(m *machine[F]) int { return off + k*m.i[r] }
	case 2:
		r, k := c.reg(at.Terms[0].Var), c.eval(at.Terms[0].Coef)
		s, l := c.reg(at.Terms[1].Var), c.eval(at.Terms[1].Coef)
		return func(m *machine[F]) int { return off + k*m.i[r] + l*m.i[s] }
	}
	regs, coefs := make([]int, len(at.Terms)), make([]int, len(at.Terms))
	for i, t := range at.Terms {
		regs[i], coefs[i] = c.reg(t.Var), c.eval(t.Coef)
	}
	return func(m *machine[F]) int {
		x := off
		for i, r := range regs {
			x += coefs[i] * m.i[r]
		}
		return x
	}
}

// An address is an index of a buffer, ready to be computed.
type address struct {
	off   int
	terms []scaled
	n     int // elements of the buffer
	buf   *Buffer
	what  string
}

// A scaled is a register times a number.
type scaled struct{ reg, by int }

func (c *compiler[F]) address(buf *Buffer, at Index, what string) *address {
	a := &address{off: c.eval(at.Off), n: c.lens[c.bufs[buf]], buf: buf, what: what}
	for _, t := range at.Terms {
		a.terms = append(a.terms, scaled{c.reg(t.Var), c.eval(t.Coef)})
	}
	return a
}

// in is the address, which must be in the buffer.
func (a *address) in(ints []int) int { return a.on(ints, 0) }

// on is the address moved by lane.
func (a *address) on(ints []int, lane int) int {
	x := a.off + lane
	for _, t := range a.terms {
		x += t.by * ints[t.reg]
	}
	if uint(x) >= uint(a.n) {
		a.fault(x)
	}
	return x
}

//go:noinline
func (a *address) fault(i int) {
	panic(&fault{"%s %s[%d]: index out of range, %s has %d elements", []any{a.what, a.buf.Name, i, a.buf.Name, a.n}})
}

func (c *compiler[F]) load(s *Load) step[F] {
	if s.Dst.Vec {
		return c.loadVec(s)
	}
	b, r, at := c.bufs[s.Buf], c.reg(s.Dst), c.address(s.Buf, s.At, "load")
	switch s.Buf.Elem {
	case I32:
		return func(m *machine[F]) { m.n[r] = m.bufs[b].n[at.in(m.i)] }
	case Bool:
		return func(m *machine[F]) { m.b[r] = m.bufs[b].b[at.in(m.i)] }
	}
	return func(m *machine[F]) { m.f[r] = m.bufs[b].f[at.in(m.i)] }
}

func (c *compiler[F]) store(s *Store) step[F] {
	if s.Src.Vec {
		return c.storeVec(s)
	}
	b, r, at := c.bufs[s.Buf], c.reg(s.Src), c.address(s.Buf, s.At, "store to")
	switch s.Buf.Elem {
	case I32:
		return func(m *machine[F]) { m.bufs[b].n[at.in(m.i)] = m.n[r] }
	case Bool:
		return func(m *machine[F]) { m.bufs[b].b[at.in(m.i)] = m.b[r] }
	}
	return func(m *machine[F]) { m.bufs[b].f[at.in(m.i)] = m.f[r] }
}

func (c *compiler[F]) bound(b Bound) func(m *machine[F]) int {
	if b.Val == nil {
		n := c.eval(b.Dim)
		return func(*machine[F]) int { return n }
	}
	r := c.reg(b.Val)
	return func(m *machine[F]) int { return m.i[r] }
}

// moves copies values as if at once: a value that one copy overwrites may be
// the source of another.
func (c *compiler[F]) moves(dst, src []*Val) step[F] {
	var first, second []step[F]
	for i, d := range dst {
		s := src[i]
		if d == s {
			continue
		}
		if !overlap(dst, src) {
			first = append(first, c.move(d, s))
			continue
		}
		t := &Val{Elem: d.Elem, Vec: d.Vec}
		first = append(first, c.move(t, s))
		second = append(second, c.move(d, t))
	}
	all := append(first, second...)
	switch len(all) {
	case 0:
		return func(*machine[F]) {}
	case 1:
		return all[0]
	}
	return func(m *machine[F]) {
		for _, s := range all {
			s(m)
		}
	}
}

func overlap(dst, src []*Val) bool {
	for i, d := range dst {
		for j, s := range src {
			if i != j && d == s {
				return true
			}
		}
	}
	return false
}

func (c *compiler[F]) move(d, s *Val) step[F] {
	x, y := c.reg(d), c.reg(s)
	if d.Vec {
		return c.moveVec(d.Elem, x, y)
	}
	switch d.Elem {
	case I32:
		return func(m *machine[F]) { m.n[x] = m.n[y] }
	case Bool:
		return func(m *machine[F]) { m.b[x] = m.b[y] }
	case Int:
		return func(m *machine[F]) { m.i[x] = m.i[y] }
	}
	return func(m *machine[F]) { m.f[x] = m.f[y] }
}

func (c *compiler[F]) loop(s *For) step[F] {
	from, to, v, by := c.bound(s.From), c.bound(s.To), c.reg(s.Var), s.Step
	after := -1
	if s.After != nil {
		after = c.reg(s.After)
	}
	var phi, init, next, out []*Val
	for _, x := range s.Carry {
		phi, init, next, out = append(phi, x.Phi), append(init, x.Init), append(next, x.Next), append(out, x.Out)
	}
	enter, again, leave := c.moves(phi, init), c.moves(phi, next), c.moves(out, phi)
	body := c.block(s.Body)
	return func(m *machine[F]) {
		i, end := from(m), to(m)
		enter(m)
		for ; i+by <= end; i += by {
			m.i[v] = i
			for _, s := range body {
				s(m)
			}
			again(m)
		}
		leave(m)
		if after >= 0 {
			m.i[after] = i
		}
	}
}

func (c *compiler[F]) branch(s *If) step[F] {
	cond := c.reg(s.Cond)
	var dst, x, y []*Val
	for _, g := range s.Merge {
		dst, x, y = append(dst, g.Dst), append(x, g.Then), append(y, g.Else)
	}
	then, els := c.block(s.Then), c.block(s.Else)
	then = append(then, c.moves(dst, x))
	els = append(els, c.moves(dst, y))
	return func(m *machine[F]) {
		block := els
		if m.b[cond] {
			block = then
		}
		for _, s := range block {
			s(m)
		}
	}
}

// round is Imm in the float type of the build.
func (c *compiler[F]) round(x float64) F { return F(x) }

func (c *compiler[F]) constant(s *Instr) step[F] {
	r := c.reg(s.Dst)
	switch s.Dst.Elem {
	case I32:
		x := int32(s.Imm)
		return func(m *machine[F]) { m.n[r] = x }
	case Bool:
		x := s.Imm != 0
		return func(m *machine[F]) { m.b[r] = x }
	case Int:
		x := int(s.Imm)
		return func(m *machine[F]) { m.i[r] = x }
	}
	x := c.round(s.Imm)
	return func(m *machine[F]) { m.f[r] = x }
}

// finite reports whether x is an ordinary number.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
