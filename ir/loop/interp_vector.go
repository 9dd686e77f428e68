package loop

// The interpreter keeps a vector in Lanes neighbouring registers.

// lane is the register number n of a vector as a scalar.
func (c *compiler[F]) lane(v *Val, n int) *Val {
	s := &Val{ID: v.ID, Elem: v.Elem}
	c.regs[s] = c.reg(v) + n
	return s
}

// lanewise is an instruction done for one lane after the other.
func (c *compiler[F]) lanewise(s *Instr) step[F] {
	var steps [Lanes]step[F]
	for n := range steps {
		one := &Instr{Op: s.Op, Dst: c.lane(s.Dst, n), Imm: s.Imm, Dim: s.Dim}
		for _, a := range s.Args {
			one.Args = append(one.Args, c.lane(a, n))
		}
		if steps[n] = c.instr(one); steps[n] == nil {
			return nil
		}
	}
	return func(m *machine[F]) {
		for _, f := range steps {
			f(m)
		}
	}
}

// registers are those of a vector.
func registers[T any](all []T, at int) []T { return all[at : at+Lanes : at+Lanes] }

// across is an op that is not lane by lane.
func (c *compiler[F]) across(s *Instr) step[F] {
	d := c.reg(s.Dst)
	var x, y int
	if len(s.Args) > 0 {
		x = c.reg(s.Args[0])
	}
	if len(s.Args) > 1 {
		y = c.reg(s.Args[1])
	}
	switch s.Op {
	case Iota:
		return func(m *machine[F]) {
			for l := range Lanes {
				m.n[d+l] = int32(l)
			}
		}
	case First:
		return func(m *machine[F]) {
			for l := range Lanes {
				m.b[d+l] = l < m.i[x]
			}
		}
	case Splat:
		switch s.Dst.Elem {
		case I32:
			return func(m *machine[F]) { fill(registers(m.n, d), m.n[x]) }
		case Bool:
			return func(m *machine[F]) { fill(registers(m.b, d), m.b[x]) }
		}
		return func(m *machine[F]) { fill(registers(m.f, d), m.f[x]) }
	case AddAcross, MinAcross, MaxAcross:
		op := map[Op]Op{AddAcross: Add, MinAcross: Min, MaxAcross: Max}[s.Op]
		fn := Table[op].Form([]*Val{{Elem: s.Dst.Elem}, {Elem: s.Dst.Elem}}, s.Dst.Elem, c.wide).Fn
		if f, ok := fn.(func(int32, int32) int32); ok {
			return func(m *machine[F]) { m.n[d] = tree(registers(m.n, x), f) }
		}
		f := fn.(func(F, F) F)
		return func(m *machine[F]) { m.f[d] = tree(registers(m.f, x), f) }
	}
	from := crosses[s.Op].from
	if s.Dst.Elem == I32 {
		return func(m *machine[F]) { permute(registers(m.n, d), registers(m.n, x), registers(m.n, y), from) }
	}
	return func(m *machine[F]) { permute(registers(m.f, d), registers(m.f, x), registers(m.f, y), from) }
}

func fill[T any](dst []T, x T) {
	for l := range dst {
		dst[l] = x
	}
}

func permute[T any](dst, x, y []T, from *[Lanes]int) {
	var out [Lanes]T
	for l, n := range from {
		if n < Lanes {
			out[l] = x[n]
		} else {
			out[l] = y[n-Lanes]
		}
	}
	copy(dst, out[:])
}

func (c *compiler[F]) moveVec(e Elem, x, y int) step[F] {
	switch e {
	case I32:
		return func(m *machine[F]) { copy(registers(m.n, x), registers(m.n, y)) }
	case Bool:
		return func(m *machine[F]) { copy(registers(m.b, x), registers(m.b, y)) }
	}
	return func(m *machine[F]) { copy(registers(m.f, x), registers(m.f, y)) }
}

// active reads a mask that may be missing.
func (c *compiler[F]) active(mask *Val) func(m *machine[F], l int) bool {
	if mask == nil {
		return func(*machine[F], int) bool { return true }
	}
	r := c.reg(mask)
	return func(m *machine[F], l int) bool { return m.b[r+l] }
}

func (c *compiler[F]) loadVec(s *Load) step[F] {
	b, r, at, active := c.bufs[s.Buf], c.reg(s.Dst), c.address(s.Buf, s.At, "load"), c.active(s.Mask)
	place := func(_ *machine[F], l int) int { return l }
	if s.Lane != nil {
		lane := c.reg(s.Lane)
		place = func(m *machine[F], l int) int { return int(m.n[lane+l]) }
	}
	each := func(m *machine[F], one func(l, at int), none func(l int)) {
		for l := range Lanes {
			if active(m, l) {
				one(l, at.on(m.i, place(m, l)))
			} else {
				none(l)
			}
		}
	}
	switch s.Buf.Elem {
	case I32:
		return func(m *machine[F]) {
			each(m, func(l, at int) { m.n[r+l] = m.bufs[b].n[at] }, func(l int) { m.n[r+l] = 0 })
		}
	case Bool:
		return func(m *machine[F]) {
			each(m, func(l, at int) { m.b[r+l] = m.bufs[b].b[at] }, func(l int) { m.b[r+l] = false })
		}
	}
	return func(m *machine[F]) {
		each(m, func(l, at int) { m.f[r+l] = m.bufs[b].f[at] }, func(l int) { m.f[r+l] = 0 })
	}
}

func (c *compiler[F]) storeVec(s *Store) step[F] {
	b, r, at, active := c.bufs[s.Buf], c.reg(s.Src), c.address(s.Buf, s.At, "store to"), c.active(s.Mask)
	each := func(m *machine[F], one func(l, at int)) {
		for l := range Lanes {
			if active(m, l) {
				one(l, at.on(m.i, l))
			}
		}
	}
	switch s.Buf.Elem {
	case I32:
		return func(m *machine[F]) { each(m, func(l, at int) { m.bufs[b].n[at] = m.n[r+l] }) }
	case Bool:
		return func(m *machine[F]) { each(m, func(l, at int) { m.bufs[b].b[at] = m.b[r+l] }) }
	}
	return func(m *machine[F]) { each(m, func(l, at int) { m.bufs[b].f[at] = m.f[r+l] }) }
}
