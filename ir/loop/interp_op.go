package loop

import "fmt"

// instr compiles one row of Table: the signature of the row's function says
// which registers it works on.
func (c *compiler[F]) instr(s *Instr) step[F] {
	switch {
	case s.Op.Across():
		return c.across(s)
	case s.Dst.Vec:
		return c.lanewise(s)
	}
	switch s.Op {
	case Const:
		return c.constant(s)
	case Size:
		r, n := c.reg(s.Dst), c.eval(s.Dim)
		return func(m *machine[F]) { m.i[r] = n }
	}
	form := Table[s.Op].Form(s.Args, s.Dst.Elem, c.wide)
	if form == nil {
		c.err = fmt.Errorf("no form of %s for these operands", Table[s.Op].Name)
		return nil
	}
	d := c.reg(s.Dst)
	var a [3]int
	for i, x := range s.Args {
		a[i] = c.reg(x)
	}
	x, y, z := a[0], a[1], a[2]
	switch f := form.Fn.(type) {
	case func(F) F:
		return func(m *machine[F]) { m.f[d] = f(m.f[x]) }
	case func(F, F) F:
		return func(m *machine[F]) { m.f[d] = f(m.f[x], m.f[y]) }
	case func(F, F, F) F:
		return func(m *machine[F]) { m.f[d] = f(m.f[x], m.f[y], m.f[z]) }
	case func(F, F) bool:
		return func(m *machine[F]) { m.b[d] = f(m.f[x], m.f[y]) }
	case func(bool, F, F) F:
		return func(m *machine[F]) { m.f[d] = f(m.b[x], m.f[y], m.f[z]) }
	case func(F) int32:
		return func(m *machine[F]) { m.n[d] = f(m.f[x]) }
	case func(F) int:
		return func(m *machine[F]) { m.i[d] = f(m.f[x]) }
	case func(F) bool:
		return func(m *machine[F]) { m.b[d] = f(m.f[x]) }
	case func(int32) F:
		return func(m *machine[F]) { m.f[d] = f(m.n[x]) }
	case func(int) F:
		return func(m *machine[F]) { m.f[d] = f(m.i[x]) }
	case func(bool) F:
		return func(m *machine[F]) { m.f[d] = f(m.b[x]) }
	case func(int, int, int) F:
		return func(m *machine[F]) { m.f[d] = f(m.i[x], m.i[y], m.i[z]) }

	case func(int32) int32:
		return func(m *machine[F]) { m.n[d] = f(m.n[x]) }
	case func(int32, int32) int32:
		return func(m *machine[F]) { m.n[d] = f(m.n[x], m.n[y]) }
	case func(int32, int32) bool:
		return func(m *machine[F]) { m.b[d] = f(m.n[x], m.n[y]) }
	case func(bool, int32, int32) int32:
		return func(m *machine[F]) { m.n[d] = f(m.b[x], m.n[y], m.n[z]) }
	case func(int32) int:
		return func(m *machine[F]) { m.i[d] = f(m.n[x]) }
	case func(int32) bool:
		return func(m *machine[F]) { m.b[d] = f(m.n[x]) }

	case func(int) int:
		return func(m *machine[F]) { m.i[d] = f(m.i[x]) }
	case func(int, int) int:
		return func(m *machine[F]) { m.i[d] = f(m.i[x], m.i[y]) }
	case func(int, int) bool:
		return func(m *machine[F]) { m.b[d] = f(m.i[x], m.i[y]) }
	case func(bool, int, int) int:
		return func(m *machine[F]) { m.i[d] = f(m.b[x], m.i[y], m.i[z]) }
	case func(int) int32:
		return func(m *machine[F]) { m.n[d] = f(m.i[x]) }
	case func(int) bool:
		return func(m *machine[F]) { m.b[d] = f(m.i[x]) }

	case func(bool) bool:
		return func(m *machine[F]) { m.b[d] = f(m.b[x]) }
	case func(bool, bool) bool:
		return func(m *machine[F]) { m.b[d] = f(m.b[x], m.b[y]) }
	case func(bool, bool, bool) bool:
		return func(m *machine[F]) { m.b[d] = f(m.b[x], m.b[y], m.b[z]) }
	case func(bool) int32:
		return func(m *machine[F]) { m.n[d] = f(m.b[x]) }
	case func(bool) int:
		return func(m *machine[F]) { m.i[d] = f(m.b[x]) }
	}
	c.err = fmt.Errorf("bug: the interpreter has no case for %s: %T", Table[s.Op].Name, form.Fn)
	return nil
}
