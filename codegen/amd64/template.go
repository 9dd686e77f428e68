package amd64

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// A step is one instruction of a form.
type step struct {
	op   string
	toks []tok
}

// A tok is an operand of a step.
type tok struct {
	letter string // a b c d, a register for results in between, AX or DX
	konst  bool   // the constant with these bits
	bits   uint32
	isImm  bool
	imm    int
	mem    bool // may be in memory
	bcst   bool // also one element for all lanes
	width  int
}

var parsed sync.Map // text of a form to its steps

// steps reads a form.
func steps(text string) []step {
	if s, ok := parsed.Load(text); ok {
		return s.([]step)
	}
	var out []step
	for one := range strings.SplitSeq(text, ";") {
		op, rest, _ := strings.Cut(strings.TrimSpace(one), " ")
		s := step{op: op}
		for x := range strings.SplitSeq(rest, ",") {
			s.toks = append(s.toks, parseTok(strings.TrimSpace(x)))
		}
		out = append(out, s)
	}
	parsed.Store(text, out)
	return out
}

var widths = map[string]int{"x": 16, "y": 32, "z": 64}

func parseTok(x string) (t tok) {
	t.bcst = strings.HasSuffix(x, "*")
	t.mem = t.bcst || strings.HasSuffix(x, "+")
	x = strings.TrimRight(x, "*+")
	switch x[0] {
	case '#':
		bits, err := strconv.ParseUint(x[1:], 16, 32)
		if err != nil {
			panic(fmt.Sprintf("bug in the table of forms: %s", x))
		}
		t.konst, t.bits = true, uint32(bits)
	case '$':
		n, err := strconv.ParseUint(x[1:], 0, 64)
		if err != nil {
			panic(fmt.Sprintf("bug in the table of forms: %s", x))
		}
		t.isImm, t.imm = true, int(n)
	default:
		letter, width, _ := strings.Cut(x, ".")
		t.letter, t.width = letter, widths[width]
	}
	return t
}

// An operands gives the operands a, b and c of a form.
type operands [3]source

// A source is an operand of a form: a register of a value.
type source struct {
	v    *value
	half int
}

// expand emits a form. Results in between are as wide as width.
func (l *lowerer) expand(form string, from operands, dst *vreg, width int) {
	all := steps(form)
	refs := map[string]int{}
	for _, s := range all {
		for _, t := range s.toks {
			refs[t.letter]++
		}
	}
	local := map[string]*vreg{"d": dst}
	// What is not in memory has to be in a register before the first step,
	// because the code that brings it there may change the flags.
	found := map[string]arg{}
	for _, s := range all {
		taken := false
		for _, t := range s.toks {
			if !taken && t.mem && refs[t.letter] == 1 && t.letter >= "a" && t.letter <= "c" {
				if a, ok := l.foldable(from[t.letter[0]-'a'], t, s.op); ok {
					found[t.letter] = a
					taken = a.mem != nil
				}
			}
		}
	}
	get := func(t tok) arg {
		if a, ok := found[t.letter]; ok {
			return a
		}
		switch t.letter {
		case "a", "b", "c":
			found[t.letter] = l.arg(from[t.letter[0]-'a'])
			return found[t.letter]
		case "AX", "DX":
			if local[t.letter] == nil {
				local[t.letter] = l.fixedReg(map[string]int{"AX": regAX, "DX": regDX}[t.letter])
			}
		default:
			if local[t.letter] == nil {
				local[t.letter] = l.local(t.letter, width)
			}
		}
		return regArg(local[t.letter])
	}
	for _, s := range all {
		for _, t := range s.toks {
			if t.letter >= "a" && t.letter <= "c" {
				get(t)
			}
		}
	}
	for _, s := range all {
		l.step(s, get)
	}
}

// local makes the register of a letter.
func (l *lowerer) local(letter string, width int) *vreg {
	switch letter {
	case "g", "h", "i", "j":
		return l.newReg(gp, 8)
	case "k", "l":
		return l.newReg(mask, 8)
	}
	return l.newReg(vec, width)
}

// step emits one instruction of a form.
func (l *lowerer) step(s step, get func(tok) arg) {
	args := make([]arg, len(s.toks))
	fold, star, bcst := -1, 0, false
	memory := false
	for i, t := range s.toks {
		if t.mem {
			if fold < 0 {
				fold = i
			}
			star++
			bcst = bcst || t.bcst
		}
		switch {
		case t.isImm:
			args[i] = immArg(t.imm)
		case t.konst:
			args[i] = arg{} // below, when it is known what else is in memory
		default:
			args[i] = get(t)
			if t.width > 0 {
				args[i].width = t.width
			}
			memory = memory || args[i].mem != nil
		}
	}
	bcst = bcst && l.broadcasts(s.op)
	for i, t := range s.toks {
		if !t.konst {
			continue
		}
		w := l.widthOf(args)
		if t.mem && !memory && l.blk.depth == 0 {
			args[i] = memArg(&mem{konst: true, bits: t.bits, bcst: bcst})
			memory = true
		} else {
			args[i] = regArg(l.constant(t.bits))
			args[i].width = w
		}
	}
	in := newIns(s.op, args...)
	switch {
	case (s.op == "MOVL" || s.op == "MOVQ" || s.op == "MOV") && args[0].reg != nil:
		in.kind = copies
	case s.op == "VXORPS" && len(args) == 3 && args[0].reg != nil && args[0].reg == args[1].reg && args[0].reg == args[2].reg:
		in = &ins{kind: zero, args: args[2:], def: 1, fold: -1}
	default:
		in.fold, in.bcst, in.swap = int8(fold), bcst, star > 1
		if in.swap && args[fold].mem == nil && args[fold+1].mem != nil {
			args[fold], args[fold+1] = args[fold+1], args[fold]
		}
	}
	l.put(in)
}

// widthOf is the width of the vectors among args.
func (l *lowerer) widthOf(args []arg) int {
	w := 16
	for _, a := range args {
		if a.reg != nil && a.reg.class == vec {
			if a.width > 0 {
				w = max(w, a.width)
			} else {
				w = max(w, a.reg.width)
			}
		}
	}
	return w
}

// broadcasts reports whether an operand of op in memory can be one element for
// all lanes.
func (l *lowerer) broadcasts(op string) bool {
	return l.t.Lanes == 16 && !strings.HasSuffix(op, "SS") && op != "VMOVD" && op[0] == 'V'
}
