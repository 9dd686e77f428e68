package check

import "math"

var (
	inf = math.Inf(1)
	nan = math.NaN()
	pi  = math.Pi
)

// asNum gives the number that v is at compile time: a num, or a dim whose
// value is known.
func asNum(v value) (num, bool) {
	switch v := v.(type) {
	case num:
		return v, true
	case dim:
		if n, ok := v.Const(); ok {
			return num{f: float64(n)}, true
		}
	}
	return num{}, false
}

// asDim gives the dim that v is: a dim or a whole number.
func asDim(v value) (dim, bool) {
	switch v := v.(type) {
	case num:
		if v.isInt() && v.f == math.Trunc(v.f) && math.Abs(v.f) < 1<<53 {
			return number(int(v.f)), true
		}
	case dim:
		return v, true
	}
	return dim{}, false
}

// foldNums computes a op b, or returns nil if op is not arithmetic.
func foldNums(op string, a, b num) value {
	kind := max(a.kind, b.kind)
	if a.kind == typedI32 && b.kind == untypedFloat {
		kind = typedF32
	}
	float := func(f float64) value {
		if kind == untypedInt {
			return num{f, untypedFloat}
		}
		if kind == typedI32 {
			return num{f, typedF32}
		}
		return num{f, kind}
	}
	switch op {
	case "+":
		return num{a.f + b.f, kind}
	case "-":
		return num{a.f - b.f, kind}
	case "*":
		return num{a.f * b.f, kind}
	case "/":
		q := a.f / b.f
		if kind == untypedInt && q == math.Trunc(q) {
			return num{q, kind}
		}
		return float(q)
	case "%":
		return num{a.f - b.f*math.Floor(a.f/b.f), kind}
	case "**":
		p := math.Pow(a.f, b.f)
		if (kind == untypedInt || kind == typedI32) && b.f >= 0 && math.Abs(p) < 1<<53 {
			return num{p, kind}
		}
		return float(p)
	case "==":
		return boolean(a.f == b.f)
	case "!=":
		return boolean(a.f != b.f)
	case "<":
		return boolean(a.f < b.f)
	case "<=":
		return boolean(a.f <= b.f)
	case ">":
		return boolean(a.f > b.f)
	case ">=":
		return boolean(a.f >= b.f)
	}
	return nil
}
