package loop

import (
	"fmt"
	"math"
	"slices"
	"unicode"
)

// Verify checks everything that holds for a kernel. Its callers call it after
// each step that makes or changes one; a failure is a bug of that step.
//
// Names
//   - the kernel, its buffers and the symbols of its dims have names that are
//     identifiers; buffers have different names;
//   - IDs of values are different and not negative.
//
// Values
//   - each value is defined once, and before its uses: by Kernel.Ints, by
//     Kernel.Grid or by a statement that comes earlier in the same block or in
//     a block around it;
//   - values of a block are not seen outside it, except through the Out of a
//     Carry, the Dst of a Merge and For.After;
//   - operands are not nil.
//
// Types
//   - operands and results of an Instr are a Form of its row in Table;
//   - Imm of a Const is a whole number in range for I32 and Int, 0 or 1 for
//     Bool, and not NaN unless F32;
//   - a Load or Store has the element type of its buffer;
//   - variables of indices, bounds, counters, grid and Kernel.Ints are Int;
//   - the four values of a Carry and the three of a Merge have one type; a
//     condition is a scalar Bool;
//   - operands and result of an Instr are all scalars or all vectors, except for
//     the ops of vector.go; there is no vector of Int; a vector is loaded to and
//     stored from, Lane is an I32 vector, a Mask a Bool vector.
//
// Memory
//   - every buffer that is used is an argument of the kernel;
//   - inputs come before outputs; only outputs are stored to, and an output is
//     loaded only after, or in a loop together with, a store to it, unless it is
//     an Update;
//   - InPlace pairs an input with an output of the same type and length.
//
// Control
//   - a For has a step of at least 1;
//   - an Extern is a row of Externs, with the buffers and arguments it wants,
//     and does not read a buffer that it writes.
func (k *Kernel) Verify() error {
	v := verifier{k: k, seen: map[*Val]bool{}, ids: map[int]*Val{}, stored: map[*Buffer]bool{}, bufs: map[*Buffer]bool{}}
	v.kernel()
	if v.err != nil {
		return fmt.Errorf("kernel %s: %w", k.Name, v.err)
	}
	return nil
}

// isIdentifier reports whether s is a name as in Go.
func isIdentifier(s string) bool {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return s != ""
}

type verifier struct {
	k      *Kernel
	seen   map[*Val]bool // true while in scope, false after
	defs   []*Val        // in scope, in order
	ids    map[int]*Val
	bufs   map[*Buffer]bool
	stored map[*Buffer]bool
	err    error
}

func (v *verifier) fail(format string, a ...any) {
	if v.err == nil {
		v.err = fmt.Errorf(format, a...)
	}
}

func (v *verifier) kernel() {
	k := v.k
	if !isIdentifier(k.Name) {
		v.fail("the name is not an identifier")
	}
	names := map[string]bool{}
	outs, locals := false, false
	for _, b := range k.Bufs {
		switch {
		case b == nil:
			v.fail("a buffer is nil")
			return
		case !isIdentifier(b.Name):
			v.fail("buffer %q: the name is not an identifier", b.Name)
		case names[b.Name]:
			v.fail("two buffers are called %s", b.Name)
		case b.Elem > Bool:
			v.fail("buffer %s: tensors of %s do not exist", b.Name, b.Elem)
		case outs && !b.Out:
			v.fail("input %s comes after an output", b.Name)
		case b.Local && !b.Out || locals && !b.Local:
			v.fail("local buffer %s must be written, and come last", b.Name)
		case b.Update && (!b.Out || b.Local):
			v.fail("%s is updated, but no output", b.Name)
		}
		v.stored[b] = b.Update
		names[b.Name], v.bufs[b], outs, locals = true, true, outs || b.Out, b.Local
		v.dim(b.Len, "length of "+b.Name)
	}
	for _, p := range k.InPlace {
		if p[0] < 0 || p[1] < 0 || p[0] >= len(k.Bufs) || p[1] >= len(k.Bufs) {
			v.fail("in-place pair %v: no such buffers", p)
			return
		}
		in, out := k.Bufs[p[0]], k.Bufs[p[1]]
		if in.Out || !out.Out || in.Elem != out.Elem || !in.Len.Eq(out.Len) {
			v.fail("in-place pair %s, %s: not an input and an output of one type and length", in.Name, out.Name)
		}
	}
	for _, x := range k.Ints {
		v.define(x, Int, "argument")
	}
	if g := k.Grid; g != nil {
		v.define(g.Lo, Int, "start of the grid")
		v.define(g.Hi, Int, "end of the grid")
		v.dim(g.N, "grid")
		v.dim(g.Grain, "grain")
	}
	v.block(k.Body, nil)
	for i, n := range k.Native {
		if n.Target == nil || n.Kernel == nil || k.For(n.Target) != n.Kernel {
			v.fail("native form %d has no target or kernel, or is the second for its target", i)
			return
		}
		v.native(n.Kernel)
	}
}

// native compares a vector form of the kernel with it.
func (v *verifier) native(n *Kernel) {
	args := n.Arguments()
	if len(args) != len(v.k.Arguments()) || len(n.Ints) != len(v.k.Ints) || len(n.Native) > 0 {
		v.fail("its native form has other buffers or integers")
		return
	}
	for i, b := range args {
		if c := v.k.Bufs[i]; b.Elem != c.Elem || b.Out != c.Out || !b.Len.Eq(c.Len) {
			v.fail("its native form has another buffer %s", b.Name)
		}
	}
	for _, p := range v.k.InPlace {
		if !slices.Contains(n.InPlace, p) {
			v.fail("its native form must not have %s and %s in one memory", v.k.Bufs[p[0]].Name, v.k.Bufs[p[1]].Name)
		}
	}
	if err := n.Verify(); err != nil && v.err == nil {
		v.err = err
	}
}

func (v *verifier) dim(d Dim, what string) {
	for _, s := range d.Syms() {
		if !isIdentifier(s) {
			v.fail("%s: the size %q is not an identifier", what, s)
		}
	}
}

func (v *verifier) define(x *Val, e Elem, what string) {
	if x == nil {
		v.fail("%s is nil", what)
		return
	}
	if _, ok := v.seen[x]; ok {
		v.fail("%s %s: defined twice", what, x)
	}
	if other, ok := v.ids[x.ID]; ok && other != x || x.ID < 0 {
		v.fail("%s %s: the ID is taken or negative", what, x)
	}
	if x.Elem != e {
		v.fail("%s %s: is %s, must be %s", what, x, x.Elem, e)
	}
	if x.Vec && x.Elem == Int {
		v.fail("%s %s: there are no vectors of %s", what, x, x.Elem)
	}
	v.seen[x], v.ids[x.ID] = true, x
	v.defs = append(v.defs, x)
}

// leave ends the scope of the values defined since there were n.
func (v *verifier) leave(n int) {
	for _, x := range v.defs[n:] {
		v.seen[x] = false
	}
	v.defs = v.defs[:n]
}

func (v *verifier) use(x *Val, e Elem, what string) {
	if x == nil {
		v.fail("%s is nil", what)
		return
	}
	live, ok := v.seen[x]
	switch {
	case !ok:
		v.fail("%s %s: used before it is defined", what, x)
	case !live:
		v.fail("%s %s: used outside the block that defines it", what, x)
	case x.Elem != e:
		v.fail("%s %s: is %s, must be %s", what, x, x.Elem, e)
	}
}

// scalar is use of a scalar.
func (v *verifier) scalar(x *Val, e Elem, what string) {
	v.use(x, e, what)
	if x != nil && x.Vec {
		v.fail("%s %s: is a vector", what, x)
	}
}

// vector is use of a vector that may be missing.
func (v *verifier) vector(x *Val, e Elem, of bool, what string) {
	if x == nil {
		return
	}
	v.use(x, e, what)
	if !x.Vec || !of {
		v.fail("%s %s: not a vector, or not of one", what, x)
	}
}

// alike is use of a value that is a vector if like is.
func (v *verifier) alike(x, like *Val, what string) {
	v.use(x, like.Elem, what)
	if x != nil && x.Vec != like.Vec {
		v.fail("%s %s: one is a vector, one a scalar", what, x)
	}
}

func (v *verifier) anyUse(x *Val, what string) {
	if x == nil {
		v.fail("%s is nil", what)
		return
	}
	v.use(x, x.Elem, what)
}

func (v *verifier) index(at Index, what string) {
	for _, t := range at.Terms {
		v.use(t.Var, Int, "index of "+what)
		v.dim(t.Coef, "index of "+what)
	}
	v.dim(at.Off, "index of "+what)
}

func (v *verifier) bound(b Bound, what string) {
	if b.Val != nil {
		v.use(b.Val, Int, what)
	}
	v.dim(b.Dim, what)
}

func (v *verifier) buffer(b *Buffer, write bool) bool {
	switch {
	case b == nil || !v.bufs[b]:
		v.fail("a statement uses a buffer that is no argument")
		return false
	case write && !b.Out:
		v.fail("store to %s, which is no output", b.Name)
	case !write && b.Out && !v.stored[b]:
		v.fail("load from output %s before it is written", b.Name)
	}
	return true
}

// block verifies body. The values it defines go out of scope after tail, which
// looks at the values that leave the block.
func (v *verifier) block(body []Stmt, tail func()) {
	if v.err != nil {
		return
	}
	n := len(v.defs)
	for _, s := range body {
		if v.err != nil {
			break
		}
		v.stmt(s)
	}
	if tail != nil && v.err == nil {
		tail()
	}
	v.leave(n)
}

func (v *verifier) stmt(s Stmt) {
	switch s := s.(type) {
	case *Instr:
		v.instr(s)
	case *Load:
		if v.buffer(s.Buf, false) {
			v.index(s.At, s.Buf.Name)
			v.vector(s.Lane, I32, s.Dst != nil && s.Dst.Vec, "lanes of a load from "+s.Buf.Name)
			v.vector(s.Mask, Bool, s.Dst != nil && s.Dst.Vec, "mask of a load from "+s.Buf.Name)
			v.define(s.Dst, s.Buf.Elem, "load")
		}
	case *Prefetch:
		if v.buffer(s.Buf, false) {
			v.index(s.At, s.Buf.Name)
		}
	case *Store:
		if v.buffer(s.Buf, true) {
			v.index(s.At, s.Buf.Name)
			v.use(s.Src, s.Buf.Elem, "store to "+s.Buf.Name)
			v.vector(s.Mask, Bool, s.Src != nil && s.Src.Vec, "mask of a store to "+s.Buf.Name)
			v.stored[s.Buf] = true
		}
	case *For:
		v.loop(s)
	case *If:
		v.branch(s)
	case *Extern:
		v.extern(s)
	default:
		v.fail("statement %T", s)
	}
}

func (v *verifier) instr(s *Instr) {
	if s.Op >= numOps {
		v.fail("op %d does not exist", s.Op)
		return
	}
	name := Table[s.Op].Name
	for _, a := range s.Args {
		v.anyUse(a, "operand of "+name)
	}
	if v.err != nil {
		return
	}
	if s.Dst == nil {
		v.fail("%s: no result", name)
		return
	}
	switch {
	case s.Op == Const:
		if why := badImm(s.Imm, s.Dst.Elem); why != "" {
			v.fail("const %v: %s", s.Imm, why)
		}
	case s.Op == Size:
		v.dim(s.Dim, "size")
		if s.Dst.Elem != Int {
			v.fail("size %s: is %s, must be int", s.Dim, s.Dst.Elem)
		}
	case s.Op.Across():
		if why := crosses[s.Op].why(s); why != "" || len(s.Args) != Table[s.Op].Args {
			v.fail("%s: %s: %s", name, signature(s), why)
		}
	case Table[s.Op].Form(s.Args, s.Dst.Elem, false) == nil:
		v.fail("%s: no such form: %s", name, signature(s))
	default:
		for _, a := range s.Args {
			if a.Vec != s.Dst.Vec {
				v.fail("%s: %s: vectors and scalars do not mix", name, signature(s))
			}
		}
	}
	if (s.Op == Const || s.Op == Size) && len(s.Args) > 0 {
		v.fail("%s has operands", name)
	}
	v.define(s.Dst, s.Dst.Elem, name)
}

func signature(s *Instr) string {
	out := "("
	for i, a := range s.Args {
		if i > 0 {
			out += ", "
		}
		out += a.typeText()
	}
	return out + ") -> " + s.Dst.typeText()
}

func badImm(x float64, e Elem) string {
	switch {
	case e == F32:
	case e == Bool && x != 0 && x != 1:
		return "a bool is 0 or 1"
	case x != math.Trunc(x) || !finite(x):
		return "not a whole number"
	case e == I32 && x != float64(int32(x)), e == Int && math.Abs(x) > 1<<53:
		return "out of range"
	}
	return ""
}

func (v *verifier) loop(s *For) {
	v.bound(s.From, "start of a loop")
	v.bound(s.To, "end of a loop")
	if s.Step < 1 {
		v.fail("loop over %s: step %d", s.Var, s.Step)
	}
	for _, c := range s.Carry {
		if c == nil || c.Phi == nil || c.Init == nil || c.Next == nil || c.Out == nil {
			v.fail("loop over %s: a carry is not complete", s.Var)
			return
		}
		v.alike(c.Init, c.Phi, "start of carry")
	}
	for _, b := range writes(s.Body, nil) {
		v.stored[b] = true // by the iteration before
	}
	n := len(v.defs)
	v.define(s.Var, Int, "counter")
	for _, c := range s.Carry {
		v.define(c.Phi, c.Phi.Elem, "carry")
	}
	v.block(s.Body, func() {
		for _, c := range s.Carry {
			v.alike(c.Next, c.Phi, "next of carry")
			if c.Out.Vec != c.Phi.Vec {
				v.fail("result of carry %s: one is a vector, one a scalar", c.Out)
			}
		}
	})
	v.leave(n)
	for _, c := range s.Carry {
		v.define(c.Out, c.Phi.Elem, "result of carry")
	}
	if s.After != nil {
		v.define(s.After, Int, "counter after the loop")
	}
}

// writes lists the buffers that body writes.
func writes(body []Stmt, into []*Buffer) []*Buffer {
	for _, s := range body {
		switch s := s.(type) {
		case *Store:
			into = append(into, s.Buf)
		case *For:
			into = writes(s.Body, into)
		case *If:
			into = writes(s.Else, writes(s.Then, into))
		case *Extern:
			for _, sp := range s.Bufs {
				if sp.Buf != nil && sp.Buf.Out {
					into = append(into, sp.Buf)
				}
			}
		}
	}
	return into
}

func (v *verifier) branch(s *If) {
	v.scalar(s.Cond, Bool, "condition")
	for _, m := range s.Merge {
		if m == nil || m.Dst == nil || m.Then == nil || m.Else == nil {
			v.fail("a merge is not complete")
			return
		}
	}
	v.block(s.Then, func() {
		for _, m := range s.Merge {
			v.alike(m.Then, m.Dst, "merge")
		}
	})
	v.block(s.Else, func() {
		for _, m := range s.Merge {
			v.alike(m.Else, m.Dst, "merge")
		}
	})
	for _, m := range s.Merge {
		v.define(m.Dst, m.Dst.Elem, "merge")
	}
}

func (v *verifier) extern(s *Extern) {
	info := ExternNamed(s.Fn)
	if info == nil {
		v.fail("there is no extern %q", s.Fn)
		return
	}
	for _, sp := range s.Bufs {
		if sp.Buf == nil || !v.bufs[sp.Buf] {
			v.fail("%s uses a buffer that is no argument", s.Fn)
			return
		}
		v.index(sp.At, sp.Buf.Name)
		v.bound(sp.Len, "length of a run of "+sp.Buf.Name)
	}
	for _, a := range s.Args {
		v.anyUse(a, "argument of "+s.Fn)
	}
	if err := info.check(s); err != nil {
		v.fail("%w", err)
		return
	}
	read := map[*Buffer]bool{}
	for i, sp := range s.Bufs {
		if !info.Bufs[i].Out {
			v.buffer(sp.Buf, false)
			read[sp.Buf] = true
		}
	}
	for i, sp := range s.Bufs {
		if info.Bufs[i].Out {
			if read[sp.Buf] {
				v.fail("%s reads and writes %s", s.Fn, sp.Buf.Name)
			}
			v.buffer(sp.Buf, true)
			v.stored[sp.Buf] = true // runs of one buffer may be written if they are disjoint
		}
	}
}
