package loop

// A cross is the signature of an op that does not work lane by lane.
type cross struct {
	elems  []Elem // of the operands, or of the result if there are none
	args   bool   // the operands are vectors
	vec    bool   // the result is one
	result func(Elem) Elem
	// Of permutations: result lane l is lane from[l] of a, or from[l]-Lanes of b.
	from *[Lanes]int
}

func same(e Elem) Elem { return e }

func always(e Elem) func(Elem) Elem { return func(Elem) Elem { return e } }

// quads permutes each four lanes alike: numbers from 4 on are of b.
func quads(p [4]int) *[Lanes]int {
	var from [Lanes]int
	for l := range from {
		q, i := l/4, p[l%4]
		from[l] = 4*q + i
		if i >= 4 {
			from[l] = Lanes + 4*q + i - 4
		}
	}
	return &from
}

// everyOther takes fours of lanes from the one numbered first on.
func everyOther(first int) *[Lanes]int {
	var from [Lanes]int
	for l := range from {
		q := l / 4
		from[l] = 4*(first+2*(q%2)) + l%4 + q/2*Lanes
	}
	return &from
}

var numbers = []Elem{F32, I32}

// crosses has the ops that are not lane by lane.
var crosses = map[Op]*cross{
	Splat:      {elems: []Elem{F32, I32, Bool}, vec: true, result: same},
	Iota:       {vec: true, result: always(I32)},
	First:      {elems: []Elem{Int}, vec: true, result: always(Bool)},
	AddAcross:  {elems: numbers, args: true, result: same},
	MinAcross:  {elems: numbers, args: true, result: same},
	MaxAcross:  {elems: numbers, args: true, result: same},
	UnpackLow:  {elems: numbers, args: true, vec: true, result: same, from: quads([4]int{0, 4, 1, 5})},
	UnpackHigh: {elems: numbers, args: true, vec: true, result: same, from: quads([4]int{2, 6, 3, 7})},
	PairLow:    {elems: numbers, args: true, vec: true, result: same, from: quads([4]int{0, 1, 4, 5})},
	PairHigh:   {elems: numbers, args: true, vec: true, result: same, from: quads([4]int{2, 3, 6, 7})},
	QuadEven:   {elems: numbers, args: true, vec: true, result: same, from: everyOther(0)},
	QuadOdd:    {elems: numbers, args: true, vec: true, result: same, from: everyOther(1)},
}

// Across reports whether op is not lane by lane.
func (op Op) Across() bool { return crosses[op] != nil }

// Lanewise reports whether s works on vectors, lane by lane.
func (s *Instr) Lanewise() bool { return s.Dst.Vec && !s.Op.Across() }

// why says what is wrong with the operands of s, or "".
func (c *cross) why(s *Instr) string {
	e := F32
	for _, a := range s.Args {
		if a.Vec != c.args {
			return "an operand must be " + map[bool]string{true: "a vector", false: "a scalar"}[c.args]
		}
		if a.Elem != s.Args[0].Elem {
			return "operands of two types"
		}
		e = a.Elem
	}
	known := len(c.elems) == 0
	for _, x := range c.elems {
		known = known || x == e
	}
	if !known || s.Dst.Elem != c.result(e) || s.Dst.Vec != c.vec {
		return "no such form"
	}
	return ""
}

// tree combines lanes as AddAcross says.
func tree[T any](x []T, op func(a, b T) T) T {
	var y [Lanes]T
	copy(y[:], x)
	for n := Lanes / 2; n > 0; n /= 2 {
		for l := range n {
			y[l] = op(y[l], y[l+n])
		}
	}
	return y[0]
}

// resultElem is the element type of op on these operands, any type where they
// are illegal.
func resultElem(op Op, args []*Val) Elem {
	c := crosses[op]
	if c == nil {
		return Table[op].Result(args)
	}
	e := F32
	if len(args) > 0 {
		e = args[0].Elem
	}
	return c.result(e)
}

func resultVec(op Op, args []*Val) bool {
	if c := crosses[op]; c != nil {
		return c.vec
	}
	for _, a := range args {
		if a.Vec {
			return true
		}
	}
	return false
}

// typeText is the type of v in the text form.
func (v *Val) typeText() string {
	if v.Vec {
		return v.Elem.String() + "x16"
	}
	return v.Elem.String()
}

// Arguments are the buffers that a Call brings: all but the local ones, which
// come last.
func (k *Kernel) Arguments() []*Buffer {
	n := len(k.Bufs)
	for n > 0 && k.Bufs[n-1] != nil && k.Bufs[n-1].Local {
		n--
	}
	return k.Bufs[:n]
}

// Transpose transposes a square of Lanes vectors: lane l of row r becomes lane r
// of row l.
func (b *Builder) Transpose(rows []*Val) []*Val {
	// Fours of lanes of fours of rows: column c of each, for the rows from r on.
	fours := make([]*Val, Lanes)
	for r := 0; r < Lanes; r += 4 {
		low, high := b.Do(UnpackLow, rows[r], rows[r+1]), b.Do(UnpackHigh, rows[r], rows[r+1])
		low2, high2 := b.Do(UnpackLow, rows[r+2], rows[r+3]), b.Do(UnpackHigh, rows[r+2], rows[r+3])
		fours[r], fours[r+1] = b.Do(PairLow, low, low2), b.Do(PairHigh, low, low2)
		fours[r+2], fours[r+3] = b.Do(PairLow, high, high2), b.Do(PairHigh, high, high2)
	}
	out := make([]*Val, Lanes)
	for c := range 4 {
		even, odd := b.Do(QuadEven, fours[c], fours[4+c]), b.Do(QuadOdd, fours[c], fours[4+c])
		even2, odd2 := b.Do(QuadEven, fours[8+c], fours[12+c]), b.Do(QuadOdd, fours[8+c], fours[12+c])
		out[c], out[8+c] = b.Do(QuadEven, even, even2), b.Do(QuadOdd, even, even2)
		out[4+c], out[12+c] = b.Do(QuadEven, odd, odd2), b.Do(QuadOdd, odd, odd2)
	}
	return out
}
