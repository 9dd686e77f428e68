package passes

import "github.com/lmc-lang/lmc/ir/loop"

// expandDivide is op, Div or Mod, of an I32 vector x by a constant d > 0: the
// quotient rounded toward minus infinity, and what remains.
//
// For x >= 0 the quotient is the high half of a product with 2**(32+s)/d rounded
// up, shifted by s: right for 31 bits of x. For x < 0 it is that of ^x, inverted.
func expandDivide(b *loop.Builder, op loop.Op, x *loop.Val, d int32) (*loop.Val, bool) {
	v := vectorMath{b}
	if d <= 0 || x.Elem != loop.I32 || !x.Vec || op != loop.Div && op != loop.Mod {
		return nil, false
	}
	power := d&(d-1) == 0
	if power && op == loop.Mod {
		return v.and(x, v.i(uint32(d-1))), true
	}
	s := uint32(0) // 2**s is the least power that is not under d
	for 1<<s < int64(d) {
		s++
	}
	minus := v.sub(v.i(0), v.shr(x, 31)) // all bits of the sign
	q := v.xor(x, minus)
	if power {
		q = v.shr(q, s)
	} else {
		s--
		q = v.Do(loop.MulHigh, q, v.i(uint32(1<<(32+s)/uint64(d)+1)))
		if s > 0 {
			q = v.shr(q, s)
		}
	}
	q = v.xor(q, minus)
	if op == loop.Div {
		return q, true
	}
	return v.sub(x, v.mul(q, v.i(uint32(d)))), true
}
