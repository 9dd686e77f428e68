package passes

import (
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// tidy makes the loops of a kernel say nothing twice: what is computed again
// in a block or in the blocks inside it is computed once, what does not change
// in a loop moves out of it, what nobody uses goes away.
func tidy(k *loop.Kernel) {
	t := &tidier{k: k, subst: map[*loop.Val]*loop.Val{}, level: map[*loop.Val]int{}, written: map[*loop.Buffer]bool{}}
	walk(k.Body, func(s loop.Stmt) {
		switch s := s.(type) {
		case *loop.Store:
			t.written[s.Buf] = true
		case *loop.Extern:
			for _, b := range s.Bufs {
				t.written[b.Buf] = true
			}
		}
	})
	k.Body = t.block(k.Body, nil)
	k.Body = dropUnused(k.Body, usesOf(k))
}

// A tidier walks the blocks of a kernel from the outside in.
type tidier struct {
	k       *loop.Kernel
	subst   map[*loop.Val]*loop.Val // values that turned out to be others
	level   map[*loop.Val]int       // the block that defines a value: index into open; 0 if not there
	written map[*loop.Buffer]bool
	open    []*openBlock
}

// An openBlock is a block under construction.
type openBlock struct {
	loop  *loop.For // nil for the kernel's body and for branches
	out   []loop.Stmt
	known map[string]*loop.Val
}

func (t *tidier) block(body []loop.Stmt, f *loop.For) []loop.Stmt {
	b := &openBlock{loop: f, known: map[string]*loop.Val{}}
	t.open = append(t.open, b)
	for _, s := range body {
		t.stmt(s)
	}
	t.open = t.open[:len(t.open)-1]
	return b.out
}

func (t *tidier) here() int { return len(t.open) - 1 }

func (t *tidier) define(vs ...*loop.Val) {
	for _, v := range vs {
		if v != nil {
			t.level[v] = t.here()
		}
	}
}

func (t *tidier) val(v *loop.Val) *loop.Val {
	if w := t.subst[v]; w != nil {
		return w
	}
	return v
}

func (t *tidier) index(i loop.Index) loop.Index {
	out := loop.Index{Off: i.Off}
	for _, x := range i.Terms {
		out = out.Add(loop.At(t.val(x.Var)).Scale(x.Coef))
	}
	return out
}

func (t *tidier) bound(b loop.Bound) loop.Bound {
	if b.Val != nil {
		b.Val = t.val(b.Val)
	}
	return b
}

func (t *tidier) emit(s loop.Stmt) {
	b := t.open[t.here()]
	b.out = append(b.out, s)
}

func (t *tidier) stmt(s loop.Stmt) {
	switch s := s.(type) {
	case *loop.Instr:
		c := *s
		c.Args = make([]*loop.Val, len(s.Args))
		for i, a := range s.Args {
			c.Args[i] = t.val(a)
		}
		t.place(&c, s.Dst, c.Args, instrKey(&c), mayFault(&c), nil)
	case *loop.Load:
		c := *s
		c.At = t.index(s.At)
		if t.written[s.Buf] {
			t.define(s.Dst)
			t.emit(&c)
			return
		}
		var args []*loop.Val
		for _, x := range c.At.Terms {
			args = append(args, x.Var)
		}
		t.place(&c, s.Dst, args, "load "+s.Buf.Name+" "+indexKey(c.At), false, s.Buf)
	case *loop.Store:
		t.emit(&loop.Store{Buf: s.Buf, At: t.index(s.At), Src: t.val(s.Src)})
	case *loop.Extern:
		c := *s
		c.Bufs = slices.Clone(s.Bufs)
		for i, b := range c.Bufs {
			c.Bufs[i].At, c.Bufs[i].Len = t.index(b.At), t.bound(b.Len)
		}
		c.Args = make([]*loop.Val, len(s.Args))
		for i, a := range s.Args {
			c.Args[i] = t.val(a)
		}
		t.emit(&c)
	case *loop.For:
		c := *s
		c.From, c.To = t.bound(s.From), t.bound(s.To)
		c.Carry = nil
		for _, x := range s.Carry {
			c.Carry = append(c.Carry, &loop.Carry{Phi: x.Phi, Init: t.val(x.Init), Out: x.Out, Next: x.Next})
			t.define(x.Out)
		}
		t.define(s.After)
		inside := len(t.open)
		t.level[s.Var] = inside
		for _, x := range s.Carry {
			t.level[x.Phi] = inside
		}
		c.Body = t.block(s.Body, &c)
		for _, x := range c.Carry {
			x.Next = t.val(x.Next)
		}
		t.emit(&c)
	case *loop.If:
		c := &loop.If{Cond: t.val(s.Cond)}
		c.Then = t.block(s.Then, nil)
		c.Else = t.block(s.Else, nil)
		for _, m := range s.Merge {
			c.Merge = append(c.Merge, &loop.Merge{Dst: m.Dst, Then: t.val(m.Then), Else: t.val(m.Else)})
			t.define(m.Dst)
		}
		t.emit(c)
	}
}

// place puts the statement s, which defines dst from args alone, into the
// outermost block where it may stand, unless the same has been computed.
func (t *tidier) place(s loop.Stmt, dst *loop.Val, args []*loop.Val, key string, stay bool, buf *loop.Buffer) {
	for _, b := range t.open {
		if v := b.known[key]; v != nil {
			t.subst[dst] = v
			return
		}
	}
	least := 0
	for _, a := range args {
		least = max(least, t.level[a])
	}
	at := t.here()
	for ; at > least; at-- {
		f := t.open[at].loop
		if f == nil || (stay || buf != nil && maybeEmpty(f, buf)) && !t.runs(at) {
			break
		}
	}
	if c, ok := s.(*loop.Instr); ok && (c.Op == loop.Const || c.Op == loop.Size) {
		at = 0
	}
	t.level[dst] = at
	t.open[at].known[key] = dst
	t.open[at].out = append(t.open[at].out, s)
}

// runs reports whether the loop of block at runs at least once whenever it is
// reached: its extent is a number, or divides that of a loop around it.
func (t *tidier) runs(at int) bool {
	n, ok := iterations(t.open[at].loop)
	if !ok {
		return false
	}
	if c, ok := n.Const(); ok {
		return c > 0
	}
	for _, b := range t.open[:at] {
		if b.loop == nil {
			continue
		}
		if m, ok := iterations(b.loop); ok {
			if _, ok := m.Div(n); ok {
				return true
			}
		}
	}
	return false
}

// iterations is how often f runs, if its ends are dims and it takes steps of 1.
func iterations(f *loop.For) (loop.Dim, bool) {
	return f.To.Dim.Sub(f.From.Dim), f.From.Val == nil && f.To.Val == nil && f.Step == 1
}

// maybeEmpty reports whether the loop f may run not at all just when buf is
// empty, so that a load in it must not move out.
func maybeEmpty(f *loop.For, buf *loop.Buffer) bool {
	if f.From.Val != nil || f.To.Val != nil {
		return false // a range of the grid, which is not empty
	}
	n := f.To.Dim.Sub(f.From.Dim)
	if c, ok := n.Const(); ok {
		return c < 1
	}
	_, part := buf.Len.Div(n)
	return part
}

func mayFault(s *loop.Instr) bool {
	f := loop.Table[s.Op].Form(s.Args, s.Dst.Elem, false)
	return f != nil && f.Fault && !safeDivision(s)
}

// safeDivision reports whether s divides by a size, which is not zero where
// something is counted.
func safeDivision(s *loop.Instr) bool { return s.Op == loop.Div || s.Op == loop.Mod }

func instrKey(s *loop.Instr) string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(int(s.Op)))
	b.WriteByte(' ')
	b.WriteString(strconv.Itoa(int(s.Dst.Elem)))
	switch s.Op {
	case loop.Const:
		b.WriteString(" " + strconv.FormatFloat(s.Imm, 'x', -1, 64))
	case loop.Size:
		b.WriteString(" " + s.Dim.String())
	}
	for _, a := range s.Args {
		b.WriteString(" " + strconv.Itoa(a.ID))
	}
	return b.String()
}

func indexKey(i loop.Index) string {
	terms := make([]string, len(i.Terms))
	for k, t := range i.Terms {
		terms[k] = strconv.Itoa(t.Var.ID) + "*" + t.Coef.String()
	}
	slices.Sort(terms)
	return strings.Join(terms, "+") + "+" + i.Off.String()
}

// usesOf counts how often each value is read.
func usesOf(k *loop.Kernel) map[*loop.Val]int {
	n := map[*loop.Val]int{}
	walk(k.Body, func(s loop.Stmt) {
		for _, v := range reads(s) {
			n[v]++
		}
	})
	return n
}

// reads lists the values that s itself reads, not those of its blocks.
func reads(s loop.Stmt) []*loop.Val {
	var out []*loop.Val
	index := func(i loop.Index) {
		for _, t := range i.Terms {
			out = append(out, t.Var)
		}
	}
	bound := func(b loop.Bound) {
		if b.Val != nil {
			out = append(out, b.Val)
		}
	}
	switch s := s.(type) {
	case *loop.Instr:
		out = append(out, s.Args...)
	case *loop.Load:
		index(s.At)
		out = append(out, present(s.Lane, s.Mask)...)
	case *loop.Store:
		index(s.At)
		out = append(append(out, s.Src), present(s.Mask)...)
	case *loop.Extern:
		out = append(out, s.Args...)
		for _, b := range s.Bufs {
			index(b.At)
			bound(b.Len)
		}
	case *loop.For:
		bound(s.From)
		bound(s.To)
		for _, c := range s.Carry {
			out = append(out, c.Init, c.Next)
		}
	case *loop.If:
		out = append(out, s.Cond)
		for _, m := range s.Merge {
			out = append(out, m.Then, m.Else)
		}
	}
	return out
}

// present drops operands that are missing.
func present(vs ...*loop.Val) []*loop.Val {
	return slices.DeleteFunc(vs, func(v *loop.Val) bool { return v == nil })
}

// dropUnused removes, from the last to the first, what has no effect and
// defines nothing that is read.
func dropUnused(body []loop.Stmt, uses map[*loop.Val]int) []loop.Stmt {
	var out []loop.Stmt
	for i := len(body) - 1; i >= 0; i-- {
		s := body[i]
		keep := true
		switch s := s.(type) {
		case *loop.Instr:
			keep = uses[s.Dst] > 0 || mayFault(s)
		case *loop.Load:
			keep = uses[s.Dst] > 0
		case *loop.For:
			s.Body = dropUnused(s.Body, uses)
			for changed := true; changed; {
				changed = false
				for c, x := range s.Carry {
					if uses[x.Out] == 0 && (uses[x.Phi] == 0 || uses[x.Phi] == 1 && x.Next == x.Phi) {
						uses[x.Init]--
						uses[x.Next]--
						s.Carry = slices.Delete(slices.Clone(s.Carry), c, c+1)
						s.Body = dropUnused(s.Body, uses)
						changed = true
						break
					}
				}
			}
			keep = len(s.Body) > 0 || len(s.Carry) > 0 || uses[s.After] > 0
		case *loop.If:
			s.Then, s.Else = dropUnused(s.Then, uses), dropUnused(s.Else, uses)
			used := len(s.Then)+len(s.Else) > 0
			for _, m := range s.Merge {
				used = used || uses[m.Dst] > 0
			}
			keep = used
		}
		if !keep {
			for _, v := range reads(s) {
				uses[v]--
			}
			continue
		}
		out = append(out, s)
	}
	slices.Reverse(out)
	return out
}
