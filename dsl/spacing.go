package dsl

// blank tells whether a blank stands before token k, which is not the first of
// its line.
func (p *layout) blank(k int) bool {
	prev := k - 1
	switch {
	case p.isType(k, tokBad) || p.isType(prev, tokBad):
		return !p.tight(k)
	case p.is(prev, "{") || p.is(k, "}"):
		return !(p.is(prev, "{") && p.is(k, "}"))
	case p.is(k, ",") || p.is(k, ";") || p.is(k, ")") || p.is(k, "]") || p.is(k, "."):
		return false
	case p.is(prev, "(") || p.is(prev, "[") || p.is(prev, "."):
		return false
	case p.is(prev, ","):
		return !p.compact[prev]
	case p.is(k, ":"):
		return false
	case p.is(prev, ":"): // x[:n] and x[a:b], but x[t: T]: as written
		return !p.is(prev-1, "[") && !p.is(prev-1, ",") && !p.tight(k)
	case p.is(prev, "**") || p.is(k, "**") || p.unary(prev):
		return false
	case p.arithmetic(k):
		return !p.close(k)
	case p.arithmetic(prev):
		return !p.close(prev)
	case p.is(k, "("):
		return !p.operand(prev) || p.result(k)
	case p.is(k, "["):
		return !p.operand(prev)
	}
	return true
}

// arithmetic tells whether token k is a binary operator that may stand close to
// its operands: then both sides look like the left one.
func (p *layout) arithmetic(k int) bool {
	return p.is(k, "+") || p.is(k, "-") && !p.unary(k) || p.is(k, "*") || p.is(k, "/") || p.is(k, "%")
}

// close tells whether the operator at k follows its left operand directly.
func (p *layout) close(k int) bool { return p.operand(k-1) && p.tight(k) }

// result tells whether the parenthesis at k opens the results of a func.
func (p *layout) result(k int) bool {
	return p.header == len(p.open)+1 && p.is(k-1, ")")
}
