package passes

import (
	"math"
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// instr writes copy u of s. What is the same in all lanes is computed once, for
// the first copy; what counts up from lane to lane stays an address.
func (v *vectoriser) instr(s *loop.Instr, u int) {
	if x := v.env[s.Dst]; u > 0 && (x.vec == nil || x.vec[u] != nil) {
		return
	}
	args := make([]*lanes, len(s.Args))
	uniform := true
	for i, a := range s.Args {
		args[i] = v.of(a)
		uniform = uniform && args[i].uniform()
	}
	if s.Dst.Vec {
		if v.strip != nil {
			v.unfit("it has vectors already")
		}
		v.env[s.Dst] = v.one(s, args)
		return
	}
	if u == 0 {
		switch x := v.affine(s, args); {
		case x != nil:
			v.env[s.Dst] = x
			return
		case uniform && !(v.guarded && mayFault(s)):
			v.env[s.Dst] = v.one(s, args)
			return
		}
		if x := v.fourRandom(s, args); x != nil {
			v.env[s.Dst] = x
			return
		}
		v.env[s.Dst] = v.newLanes(s.Dst.Elem)
	}
	v.env[s.Dst].vec[u] = v.lanewise(s, args, u)
}

// affine is the result of s as an address, if s adds, subtracts or scales
// Ints, and constants of all types.
func (v *vectoriser) affine(s *loop.Instr, args []*lanes) *lanes {
	for _, x := range args {
		if x.elem != loop.Int || x.vec != nil {
			return nil
		}
	}
	switch s.Op {
	case loop.Const:
		if s.Dst.Elem == loop.Int {
			return integerLanes(loop.AtDim(loop.N(int(s.Imm))))
		}
		c := v.Const(s.Dst.Elem, s.Imm)
		return &lanes{elem: s.Dst.Elem, one: c, known: &s.Imm}
	case loop.Size:
		return integerLanes(loop.AtDim(s.Dim))
	}
	if s.Dst.Elem != loop.Int {
		return nil
	}
	switch s.Op {
	case loop.Add:
		return &lanes{elem: loop.Int, at: args[0].at.Add(args[1].at), step: args[0].step.Add(args[1].step)}
	case loop.Sub:
		return &lanes{elem: loop.Int, at: args[0].at.Add(args[1].at.Scale(loop.N(-1))), step: args[0].step.Sub(args[1].step)}
	case loop.Neg:
		return &lanes{elem: loop.Int, at: args[0].at.Scale(loop.N(-1)), step: args[0].step.Neg()}
	case loop.Mul:
		for i, x := range args {
			if y := args[1-i]; x.uniform() && len(x.at.Terms) == 0 {
				return &lanes{elem: loop.Int, at: y.at.Scale(x.at.Off), step: y.step.Mul(x.at.Off)}
			}
		}
	case loop.Div, loop.Mod:
		return v.divided(s.Op, args[0], args[1])
	}
	return nil
}

// divided is x / y or x mod y where that is known to move evenly: by 1, or
// where no vector of a loop crosses a multiple of y.
func (v *vectoriser) divided(op loop.Op, x, y *lanes) *lanes {
	if !y.uniform() || len(y.at.Terms) > 0 {
		return nil
	}
	n := y.at.Off
	c, known := x.at.Off.Const()
	m, ok := n.Const()
	switch {
	case n.Is(1) && op == loop.Div:
		return x
	case n.Is(1):
		return integerLanes(loop.Index{})
	case x.uniform() && len(x.at.Terms) == 0 && known && ok && m > 0 && c >= 0:
		if op == loop.Div {
			return integerLanes(loop.AtDim(loop.N(c / m)))
		}
		return integerLanes(loop.AtDim(loop.N(c % m)))
	}
	if v.strip == nil || v.copies != 1 || !x.step.Is(1) || !multipleOf(n, loop.Lanes) || !v.aligned(x.at, loop.Lanes) {
		return nil
	}
	size := v.SizeOf(n)
	if op == loop.Div {
		return integerLanes(loop.At(v.Do(loop.Div, v.IndexVal(x.at), size)))
	}
	return &lanes{elem: loop.Int, at: loop.At(v.Do(loop.Mod, v.IndexVal(x.at), size)), step: loop.N(1)}
}

func multipleOf(d loop.Dim, n int) bool { _, ok := d.Div(loop.N(n)); return ok }

// aligned reports whether at is a multiple of n, which divides loop.Lanes, at
// the beginning of each vector: it is made of such multiples and of the counter
// of the loop, if that starts at one.
func (v *vectoriser) aligned(at loop.Index, n int) bool {
	pos := v.env[v.strip.Var].at
	from := loop.AtDim(v.strip.From.Dim)
	if v.strip.From.Val != nil {
		from = v.of(v.strip.From.Val).at
	}
	starts := multipleOf(from.Off, n) && !slices.ContainsFunc(from.Terms, func(t loop.IndexTerm) bool { return !multipleOf(t.Coef, n) })
	for _, t := range at.Terms {
		counter := starts && len(pos.Terms) == 1 && pos.Terms[0].Var == t.Var
		if !counter && !multipleOf(t.Coef, n) {
			return false
		}
	}
	return multipleOf(at.Off, n)
}

// one writes s for all lanes at once.
func (v *vectoriser) one(s *loop.Instr, args []*lanes) *lanes {
	if x, y, z := v.product(s); x != nil {
		return scalarLanes(v.Do(loop.FMA, v.scalar(v.of(x)), v.scalar(v.of(y)), v.scalar(v.of(z))))
	}
	vals := make([]*loop.Val, len(args))
	for i, x := range args {
		vals[i] = v.scalar(x)
	}
	switch {
	case s.Op == loop.Uniform || s.Op == loop.Normal:
		return scalarLanes(v.Do(loop.MaxAcross, v.random(s.Op, args, 0)))
	case s.Dst.Elem == loop.F32 && expands(s.Op) && s.Dst.Vec:
		return scalarLanes(v.expand(s.Op, vals))
	case s.Dst.Elem == loop.F32 && expands(s.Op):
		// There is one way to compute these, in vectors; all lanes are the result.
		for i, x := range vals {
			vals[i] = v.Do(loop.Splat, x)
		}
		return scalarLanes(v.Do(loop.MaxAcross, v.expand(s.Op, vals)))
	}
	out := v.NewLike(s.Dst)
	v.Emit(&loop.Instr{Op: s.Op, Dst: out, Args: vals, Imm: s.Imm, Dim: s.Dim})
	return scalarLanes(out)
}

// lanewise writes copy u of s as an instruction on vectors.
func (v *vectoriser) lanewise(s *loop.Instr, args []*lanes, u int) *loop.Val {
	switch s.Op {
	case loop.Check:
		return v.checked(args, u)
	case loop.Fold:
		v.unfit("each lane draws random numbers from a stream of its own")
	case loop.Uniform, loop.Normal:
		return v.random(s.Op, args, u)
	case loop.Add:
		if x, y, z := v.product(s); x != nil {
			return v.Do(loop.FMA, v.vector(v.of(x), u), v.vector(v.of(y), u), v.vector(v.of(z), u))
		}
	}
	vals := make([]*loop.Val, len(args))
	ints := false
	for i, x := range args {
		vals[i] = v.vector(x, u)
		ints = ints || x.elem == loop.Int
	}
	elem := s.Dst.Elem
	if elem == loop.Int {
		elem = loop.I32
	}
	switch {
	case s.Op == loop.Convert:
		return v.ConvertTo(elem, vals[0])
	case (s.Op == loop.Div || s.Op == loop.Mod) && elem == loop.I32:
		return v.divide(s.Op, vals[0], args[1])
	case expands(s.Op) && elem == loop.F32:
		return v.expand(s.Op, vals)
	}
	return v.Do(s.Op, vals...)
}

// expands reports whether targets have no instruction for op on floats.
func expands(op loop.Op) bool {
	return op >= loop.Exp && op <= loop.Pow || op == loop.Mod
}

// expand writes op on vectors as arithmetic that the targets have.
func (v *vectoriser) expand(op loop.Op, args []*loop.Val) *loop.Val {
	x, ok := expandMath(v.Builder, op, args)
	if !ok {
		v.unfit("there is no %s in vectors", loop.Table[op].Name)
	}
	return x
}

// product reports whether s adds one product to something else: it is x*y + z
// in one instruction, then, rounded once. That depends on nothing but s, so the
// bits do not depend on which loops run over vectors.
func (v *vectoriser) product(s *loop.Instr) (x, y, z *loop.Val) {
	if s.Op != loop.Add || s.Dst.Elem != loop.F32 || s.Dst.Vec {
		return nil, nil, nil
	}
	mul := func(i int) *loop.Instr {
		if m, ok := v.defs[s.Args[i]].(*loop.Instr); ok && m.Op == loop.Mul {
			return m
		}
		return nil
	}
	switch p, q := mul(0), mul(1); {
	case p != nil && q == nil:
		return p.Args[0], p.Args[1], s.Args[1]
	case q != nil && p == nil:
		return q.Args[0], q.Args[1], s.Args[0]
	}
	return nil, nil, nil
}

// checked is copy u of an index that has to be in [0, n): any lane that is not
// faults.
func (v *vectoriser) checked(args []*lanes, u int) *loop.Val {
	i, n := v.vector(args[0], u), v.vector(args[1], u)
	bad := v.Do(loop.Or, v.Do(loop.Lt, i, v.ConstVec(loop.I32, 0)), v.Do(loop.Le, n, i))
	if m := v.mask(u); m != nil {
		bad = v.Do(loop.And, m, bad)
	}
	some := v.Do(loop.MaxAcross, v.Do(loop.Select, bad, v.ConstVec(loop.I32, 1), v.ConstVec(loop.I32, 0)))
	limit := args[1]
	v.If(v.ConvertTo(loop.Bool, some), func() []*loop.Val {
		which := v.Do(loop.MaxAcross, v.Do(loop.Select, bad, i, v.ConstVec(loop.I32, math.MinInt32)))
		v.Do(loop.Check, v.ConvertTo(loop.Int, which), v.scalar(limit))
		return nil
	}, nil)
	return i
}

// random is copy u of random numbers: counters are neighbours, or fit in 31
// bits.
func (v *vectoriser) random(op loop.Op, args []*lanes, u int) *loop.Val {
	seed, stream, counter := v.scalar(args[0]), v.scalar(args[1]), args[2]
	var base, lane *loop.Val
	if counter.vec != nil {
		base, lane = v.SizeOf(loop.N(0)), counter.vec[u]
	} else {
		base = v.IndexVal(counter.at.Add(loop.AtDim(counter.step.MulN(loop.Lanes * u))))
		lane = v.count(counter.step)
	}
	if op == loop.Normal {
		return expandNormal(v.Builder, seed, stream, base, lane)
	}
	return expandUniform(v.Builder, seed, stream, base, lane)
}

// fourRandom is four vectors of random numbers at once, if s draws them and
// the counters are neighbours.
func (v *vectoriser) fourRandom(s *loop.Instr, args []*lanes) *lanes {
	draw := expandUniform4
	switch s.Op {
	case loop.Normal:
		draw = expandNormal4
	case loop.Uniform:
	default:
		return nil
	}
	if c := args[2]; v.copies == 4 && c.vec == nil && c.step.Is(1) && v.aligned(c.at, 4) {
		x := draw(v.Builder, v.scalar(args[0]), v.scalar(args[1]), v.IndexVal(c.at))
		return &lanes{elem: loop.F32, vec: x[:]}
	}
	return nil
}

// divide is floor(x / y), or what is left of x, for a number y.
func (v *vectoriser) divide(op loop.Op, x *loop.Val, y *lanes) *loop.Val {
	d := 0
	switch {
	case y.elem == loop.Int && y.uniform() && len(y.at.Terms) == 0:
		d, _ = y.at.Off.Const()
	case y.known != nil:
		d = int(*y.known)
	}
	if d < 1 || d > math.MaxInt32 {
		v.unfit("it divides integers by a number that is not known")
	}
	q, ok := expandDivide(v.Builder, op, x, int32(d))
	if !ok {
		v.unfit("it divides integers by %d", d)
	}
	return q
}
