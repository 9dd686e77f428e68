package codegen

import (
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// lowerSelects returns k with instructions whose Go spelling is "c ? a : b" as
// if statements without bodies. Choices on one condition are joined.
func lowerSelects(k *loop.Kernel) *loop.Kernel {
	l := &selectLowerer{}
	l.number(k)
	out := *k
	out.Body = l.block(k.Body)
	return &out
}

type selectLowerer struct{ ids int }

// number finds an ID that no value has.
func (l *selectLowerer) number(k *loop.Kernel) {
	seen := func(v *loop.Val) {
		if v != nil {
			l.ids = max(l.ids, v.ID+1)
		}
	}
	for _, v := range k.Ints {
		seen(v)
	}
	if k.Grid != nil {
		seen(k.Grid.Lo)
		seen(k.Grid.Hi)
	}
	var walk func(body []loop.Stmt)
	walk = func(body []loop.Stmt) {
		for _, s := range body {
			switch s := s.(type) {
			case *loop.Instr:
				seen(s.Dst)
			case *loop.Load:
				seen(s.Dst)
			case *loop.For:
				seen(s.Var)
				seen(s.After)
				for _, c := range s.Carry {
					seen(c.Phi)
					seen(c.Out)
				}
				walk(s.Body)
			case *loop.If:
				for _, m := range s.Merge {
					seen(m.Dst)
				}
				walk(s.Then)
				walk(s.Else)
			}
		}
	}
	walk(k.Body)
}

func (l *selectLowerer) block(body []loop.Stmt) []loop.Stmt {
	var out []loop.Stmt
	for _, s := range body {
		switch s := s.(type) {
		case *loop.Instr:
			if c := l.choice(s, &out); c != nil {
				out = joinChoice(out, c)
				continue
			}
		case *loop.For:
			c := *s
			c.Body = l.block(s.Body)
			out = append(out, &c)
			continue
		case *loop.If:
			c := *s
			c.Then, c.Else = l.block(s.Then), l.block(s.Else)
			out = append(out, &c)
			continue
		}
		out = append(out, s)
	}
	return out
}

// choice is s as an if statement, or nil.
func (l *selectLowerer) choice(s *loop.Instr, out *[]loop.Stmt) *loop.If {
	form := loop.Table[s.Op].Form(s.Args, s.Dst.Elem, false)
	if form == nil {
		return nil
	}
	_, rest, ok := strings.Cut(form.Go, " ? ")
	if !ok {
		return nil
	}
	then, els, _ := strings.Cut(rest, " : ")
	side := func(text string) *loop.Val {
		if n, ok := strings.CutPrefix(text, "$"); ok {
			i, _ := strconv.Atoi(n)
			return s.Args[i]
		}
		x, _ := strconv.ParseFloat(text, 64)
		v := &loop.Val{ID: l.ids, Elem: s.Dst.Elem}
		l.ids++
		*out = append(*out, &loop.Instr{Op: loop.Const, Dst: v, Imm: x})
		return v
	}
	return &loop.If{Cond: s.Args[0], Merge: []*loop.Merge{{Dst: s.Dst, Then: side(then), Else: side(els)}}}
}

// joinChoice appends c, joined with the choice on the same condition before it
// if nothing in between needs that one.
func joinChoice(out []loop.Stmt, c *loop.If) []loop.Stmt {
	for i := len(out) - 1; i >= 0; i-- {
		if s, ok := out[i].(*loop.If); ok {
			if s.Cond != c.Cond || len(s.Then)+len(s.Else) > 0 {
				break
			}
			for _, later := range out[i+1:] {
				for _, m := range s.Merge {
					if uses(later, m.Dst) {
						return append(out, c)
					}
				}
			}
			for _, m := range s.Merge {
				if c.Merge[0].Then == m.Dst || c.Merge[0].Else == m.Dst {
					return append(out, c)
				}
			}
			c.Merge = append(s.Merge, c.Merge...)
			return append(append(out[:i:i], out[i+1:]...), c)
		}
		if !straight(out[i]) {
			break
		}
	}
	return append(out, c)
}

// straight is whether s only computes a value.
func straight(s loop.Stmt) bool {
	switch s := s.(type) {
	case *loop.Instr:
		return s.Pure()
	case *loop.Load:
		return true
	}
	return false
}

func uses(s loop.Stmt, v *loop.Val) bool {
	found := false
	switch s := s.(type) {
	case *loop.Instr:
		for _, a := range s.Args {
			found = found || a == v
		}
	case *loop.Load:
		for _, t := range s.At.Terms {
			found = found || t.Var == v
		}
	}
	return found
}
