package amd64

import (
	"strconv"

	"github.com/lmc-lang/lmc/ir/loop"
)

// loop lowers a For. Its carried values are in registers of their own, which
// are set before the loop and at the end of its body; alloc.go joins them with
// what they are set to.
func (l *lowerer) loop(s *loop.For) {
	from, to := l.bound(s.From), l.bound(s.To)
	trips, known := l.trips(s)
	if known && trips <= 1 {
		l.once1(s, from, trips)
		return
	}

	counter := l.newReg(gp, 8)
	body := l.open(s, func(b *block) {
		l.set(s.Var, 0, counter)
		for _, c := range s.Carry {
			for h := range l.span(c.Phi) {
				l.set(c.Phi, h, l.regFor(c.Phi))
			}
		}
		b.plan = nil
		if l.innermost(s) {
			b.plan = l.look(s)
			outer := l.blk
			l.blk = b.parent
			l.start(b.plan, from)
			l.blk = outer
		}
		l.stmts(s.Body)
		var to []*vreg
		var next []source
		for _, c := range s.Carry {
			for h := range l.span(c.Phi) {
				to, next = append(to, l.vals[c.Phi].regs[h]), append(next, l.src(c.Next, h))
			}
		}
		l.moves(to, next)
		if b.plan != nil {
			l.advance(b.plan, s.Step)
		}
	})
	if l.err != nil {
		return
	}

	n := l.newLabel()
	name := s.Var.Name
	for _, c := range s.Carry {
		for h := range l.span(c.Phi) {
			l.moveTo(l.vals[c.Phi].regs[h], c.Init, h)
		}
	}
	used := s.After != nil
	for _, in := range body.code {
		in.each(func(r *vreg, _, _ bool) { used = used || r == counter })
	}
	test := l.counts(s, n, counter, from, to, trips, used, func(cond string) { l.jump(cond, -n, "end_"+name) })
	l.put(&ins{kind: comment, note: loopText(s), fold: -1})
	l.label(n, "loop_"+name)
	l.blk.code[len(l.blk.code)-1].loop = true
	l.blk.code = append(l.blk.code, body.code...)
	l.in(body, func() {
		body.code = nil
		test()
	})
	l.blk.code = append(l.blk.code, body.code...)
	if !known {
		l.label(-n, "end_"+name)
	}
	for _, c := range s.Carry {
		for h := range l.span(c.Phi) {
			l.set(c.Out, h, l.vals[c.Phi].regs[h])
		}
	}
	if s.After != nil {
		l.set(s.After, 0, counter)
	}
}

// counts sets the counter before the loop, whose label is n, and returns what
// stands at the end of the body. If trips is 0 there may be no iteration, and
// none jumps away. A counter that nobody reads counts down what is left.
func (l *lowerer) counts(s *loop.For, n int, counter *vreg, from, to loop.Index, trips int, used bool, none func(cond string)) (test func()) {
	step := immArg(s.Step)
	top := func(cond string) { l.jump(cond, n, "loop_"+s.Var.Name) }
	if used {
		last := l.intArg(to.Add(loop.AtDim(loop.N(-s.Step))))
		l.moveIndex(counter, from)
		compare := func() { l.op("CMPQ", regArg(counter), last).fold = 1 }
		if trips == 0 {
			compare()
			none("JGT")
		}
		return func() {
			l.op("ADDQ", step, regArg(counter))
			compare()
			top("JLE")
		}
	}
	if trips > 0 {
		l.op("MOVQ", immArg(trips), regArg(counter))
		return func() {
			l.op("DECQ", regArg(counter))
			top("JNE")
		}
	}
	l.moveIndex(counter, to.Add(from.Scale(loop.N(-1))))
	l.op("SUBQ", step, regArg(counter))
	none("JLT")
	return func() {
		l.op("SUBQ", step, regArg(counter))
		top("JGE")
	}
}

// moveIndex sets a register to an index.
func (l *lowerer) moveIndex(dst *vreg, x loop.Index) {
	if n, ok := constIndex(x); ok {
		l.op("MOVQ", immArg(n), regArg(dst))
		return
	}
	l.copy(dst, l.sum("", x))
}

// innermost reports whether there is no loop in s, except for those that run
// once.
func (l *lowerer) innermost(s *loop.For) bool {
	n := 0
	everywhere(s, func(x loop.Stmt) {
		if x, ok := x.(*loop.For); ok {
			if trips, known := l.trips(x); !known || trips > 1 {
				n++
			}
		}
	})
	return n == 1
}

// trips is the number of iterations of s, if it is known.
func (l *lowerer) trips(s *loop.For) (int, bool) {
	n, known := constIndex(l.bound(s.To).Add(l.bound(s.From).Scale(loop.N(-1))))
	if !known {
		return 0, false
	}
	return max(0, n) / s.Step, true
}

func loopText(s *loop.For) string {
	text := "for " + s.Var.String() + " = " + s.From.String() + " to " + s.To.String()
	if s.Step != 1 {
		text += " step " + itoa(s.Step)
	}
	if s.Comment != "" {
		text += ": " + s.Comment
	}
	return text
}

// once1 lowers a loop of no iteration or one.
func (l *lowerer) once1(s *loop.For, from loop.Index, trips int) {
	for _, c := range s.Carry {
		l.same(c.Phi, c.Init)
	}
	if trips == 1 {
		l.ints[s.Var] = from
		l.stmts(s.Body)
		for _, c := range s.Carry {
			l.same(c.Out, c.Next)
		}
	} else {
		for _, c := range s.Carry {
			l.same(c.Out, c.Init)
		}
	}
	if s.After != nil {
		l.ints[s.After] = from.Add(loop.AtDim(loop.N(trips * s.Step)))
	}
}

// same makes dst another name of src.
func (l *lowerer) same(dst, src *loop.Val) {
	if dst.Elem == loop.Int {
		l.ints[dst] = l.sumOf(src)
		return
	}
	l.vals[dst] = l.val(src)
}

// chosen lowers an If of which one branch always runs.
func (l *lowerer) chosen(s *loop.If, then bool) {
	body := s.Else
	if then {
		body = s.Then
	}
	l.stmts(body)
	for _, m := range s.Merge {
		if then {
			l.same(m.Dst, m.Then)
		} else {
			l.same(m.Dst, m.Else)
		}
	}
}

// moves sets registers to values as if at once.
func (l *lowerer) moves(to []*vreg, from []source) {
	for i, s := range from {
		if s.v.konst && (s.v.vec || s.v.elem == loop.F32) && to[i].class == vec {
			continue
		}
		r := l.force(s)
		for j := range i {
			if r == to[j] && r != to[i] { // overwritten before
				t := l.newReg(r.class, r.width)
				l.copy(t, r)
				r = t
				break
			}
		}
		from[i] = source{v: &value{regs: [2]*vreg{r}}}
	}
	for i, s := range from {
		if s.v.konst {
			l.put(setConstant(l.t, s.v.bits, to[i]))
		} else {
			l.copy(to[i], s.v.regs[0])
		}
	}
}

// branch lowers an If.
func (l *lowerer) branch(s *loop.If) {
	test := l.known[s.Cond]
	var cond *vreg
	if !l.fused[test] {
		c := l.src(s.Cond, 0)
		if c.v.konst {
			l.chosen(s, c.v.bits != 0)
			return
		}
		cond = l.force(c)
	}
	n := l.newLabel()
	els := -n
	merges := func(pick func(m *loop.Merge) *loop.Val, regs []*vreg) {
		var from []source
		for _, m := range s.Merge {
			for h := range l.span(m.Dst) {
				from = append(from, l.src(pick(m), h))
			}
		}
		l.moves(regs, from)
	}
	var regs []*vreg
	for _, m := range s.Merge {
		for range l.span(m.Dst) {
			regs = append(regs, l.regFor(m.Dst))
		}
	}
	hasElse := len(s.Else) > 0 || len(s.Merge) > 0
	then := l.open(nil, func(*block) {
		l.stmts(s.Then)
		merges(func(m *loop.Merge) *loop.Val { return m.Then }, regs)
	})
	other := l.open(nil, func(*block) {
		l.stmts(s.Else)
		merges(func(m *loop.Merge) *loop.Val { return m.Else }, regs)
	})
	if cond == nil {
		l.compare(test, els)
	} else {
		l.op("TESTL", regArg(cond), regArg(cond))
		l.jump("JEQ", els, "else")
	}
	l.blk.code = append(l.blk.code, then.code...)
	if hasElse {
		l.jump("JMP", n, "end")
	}
	l.label(els, "else")
	if hasElse {
		l.blk.code = append(l.blk.code, other.code...)
		l.label(n, "end")
	}
	i := 0
	for _, m := range s.Merge {
		for h := range l.span(m.Dst) {
			l.set(m.Dst, h, regs[i])
			i++
		}
	}
}

// compare jumps unless the comparison s holds.
func (l *lowerer) compare(s *loop.Instr, unless int) {
	conds := map[loop.Op][]string{loop.Lt: {"JGE"}, loop.Le: {"JGT"}, loop.Eq: {"JNE"}}
	if s.Args[0].Elem == loop.F32 {
		// Of floats the second operand is compared with the first; where one is
		// NaN, all of "below", "equal" and "parity" are set.
		conds = map[loop.Op][]string{loop.Lt: {"JLS"}, loop.Le: {"JCS"}, loop.Eq: {"JNE", "JPS"}}
		a, b := l.arg(l.src(s.Args[0], 0)), l.arg(l.src(s.Args[1], 0))
		l.op("VUCOMISS", a, b).fold = 0
	} else {
		op := map[loop.Elem]string{loop.I32: "CMPL", loop.Int: "CMPQ"}[s.Args[0].Elem]
		a, x := l.arg(l.src(s.Args[0], 0)), l.src(s.Args[1], 0)
		b, ok := l.foldable(x, tok{mem: true}, op)
		if !ok {
			b = l.arg(x)
		}
		l.op(op, a, b).fold = 1
	}
	for _, c := range conds[s.Op] {
		l.jump(c, unless, "else")
	}
}

// check jumps to a stub, unless 0 <= i < n.
func (l *lowerer) check(s *loop.Instr) {
	i, n := l.sumOf(s.Args[0]), l.sumOf(s.Args[1])
	x := l.sum("", i)
	bad := l.newLabel()
	// A number below 0 is a large one without a sign.
	l.op("CMPQ", regArg(x), l.intArg(n)).fold = 1
	l.jump("JCC", bad, "bad")
	l.fault(bad, regArg(x), l.intArg(n))
}

// checkDivisor jumps to a stub if b is 0.
func (l *lowerer) checkDivisor(a, b loop.Index) {
	x, y := l.sum("", a), l.sum("", b)
	bad := l.newLabel()
	l.op("TESTQ", regArg(y), regArg(y))
	l.jump("JEQ", bad, "bad")
	l.fault(bad, regArg(x), immArg(-1))
}

// fault makes the stub that returns bad and n.
func (l *lowerer) fault(at int, bad, n arg) {
	outer := l.blk
	l.blk = &block{known: map[string]*vreg{}}
	l.label(at, "bad")
	l.result("bad", bad)
	l.result("n", n)
	l.put(&ins{kind: ret, fold: -1})
	l.stubs = append(l.stubs, l.blk.code...)
	l.blk = outer
}

// result sets a result of the function.
func (l *lowerer) result(name string, x arg) {
	l.op("MOVQ", x, memArg(&mem{name: l.param["result "+name]}))
}

func itoa(n int) string { return strconv.Itoa(n) }
