package amd64

import (
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A class is a kind of register.
type class uint8

const (
	gp   class = iota // integers, addresses, scalar bools
	vec               // floats and vectors
	mask              // vectors of bools on AVX-512
	numClasses
)

// A vreg is a virtual register: where a value is until alloc gives it a machine
// register, or splits it by spilling.
type vreg struct {
	id    int
	class class
	width int     // bytes: 8, or 16, 32 and 64 for vectors
	fixed int     // the machine register it must be, or -1
	temp  bool    // made by spilling: it is too short to be spilled again
	split bool    // made by spilling, for one loop
	made  *recipe // how to make it again, or nil
	slot  int     // where it is spilled, or -1

	// Of allocation:
	into   *vreg // joined with this one
	phys   int
	ranges []span
	rest   []span    // of them, those that have not ended
	uses   []loopUse // in the order of the code
	size   int       // of the ranges
	out    bool      // it is being spilled
	loops  []inLoop  // then: the innermost loops that use it
}

// A loopUse is what the uses of a register in an innermost loop, or in code
// outside of these, which is loop -1, would cost if it were in memory.
type loopUse struct {
	loop int
	cost float64
	def  bool // the loop changes it
}

// An inLoop is how an innermost loop, given by its number, uses a register.
type inLoop struct {
	loop          int
	reads, writes bool
}

// A recipe is a value that needs no room in the frame: it can be computed where it
// is used.
type recipe struct {
	konst bool   // a constant with the bits below in every lane
	bits  uint32 // of it
	mem   *mem   // else: an argument of the function, or a table
}

// A mem is a memory operand.
type mem struct {
	base, index *vreg
	scale       int
	disp        int
	name        string // instead of base: a symbol with its base register, e.g. "x_base+0(FP)"
	konst       bool   // the constant with these bits
	bits        uint32
	slot        int  // 1 + number of a slot of the frame, instead of base
	bcst        bool // one element for all lanes
}

// plus is m moved by n bytes.
func (m *mem) plus(n int) *mem {
	c := *m
	c.disp += n
	return &c
}

// An arg is an operand of an instruction.
type arg struct {
	reg   *vreg
	mem   *mem
	imm   int64
	isImm bool
	width int // of a vector register in this operand
}

func regArg(r *vreg) arg { return arg{reg: r} }

func memArg(m *mem) arg { return arg{mem: m} }

func immArg(n int) arg { return arg{imm: int64(n), isImm: true} }

// An ins is an instruction over virtual registers, its operands in Go's order:
// the destination last.
type ins struct {
	kind insKind
	op   string
	args []arg
	use  uint8 // bit i: args[i] is read
	def  uint8 // bit i: args[i] is written
	fold int8  // the operand that may be in memory instead, -1 if none
	bcst bool  // also as one element for all lanes
	swap bool  // operands fold and fold+1 may be exchanged
	hide int8  // number of operands at the end that are not printed
	// Of jumps and labels:
	label int
	name  string // of the label
	loop  bool   // the label is where an iteration begins
	note  string // comment: before a label, or a line of its own

	depth int       // of loops
	of    *loop.For // the innermost loop around
}

type insKind uint8

const (
	plain  insKind = iota
	copies         // args[0] to args[1], any class
	zero           // args[0] becomes 0 (vec) or all ones (mask)
	fma            // args[3] = args[0]*args[1] + args[2]; op is the part of the name before the order
	label
	jump // op is the condition; "JMP" always
	ret
	comment
)

// modifies lists instructions whose last operand is read as well as written.
var modifies = map[string]bool{
	"ADDL": true, "ADDQ": true, "SUBL": true, "SUBQ": true, "ANDL": true, "ANDQ": true, "ORL": true, "XORL": true, "XORQ": true,
	"IMULL": true, "IMULQ": true, "NEGL": true, "NEGQ": true, "SHLL": true, "SHLQ": true, "SHRQ": true, "SARL": true, "SARQ": true,
	"ROLQ": true, "INCQ": true, "DECQ": true,
}

// compares lists instructions that only set flags.
var compares = map[string]bool{
	"CMPL": true, "CMPQ": true, "TESTL": true, "TESTQ": true, "VUCOMISS": true, "BTL": true,
}

// newIns makes an instruction; what it reads and writes follows from its name.
func newIns(op string, args ...arg) *ins {
	in := &ins{op: op, args: args, fold: -1}
	last := len(args) - 1
	for i := range args {
		in.use |= 1 << i
	}
	switch {
	case op == "CQO": // AX, DX
		in.use, in.def, in.hide = 1, 2, 2
	case op == "IDIVQ": // by, AX, DX
		in.use, in.def, in.hide = 7, 6, 2
	case op == "MULQ": // by, AX, DX
		in.use, in.def, in.hide = 3, 6, 2
	case compares[op]:
	case modifies[op] || strings.HasPrefix(op, "CMOV"):
		in.def = 1 << last
	case strings.HasPrefix(op, "VGATHER") || strings.HasPrefix(op, "VPGATHER"): // indices, mask, result: AVX2 has the mask first
		in.def = 3 << (last - 1)
		if args[0].mem == nil {
			in.def = 1 | 1<<last
		}
	case args[last].mem != nil: // a store
	default:
		in.use &^= 1 << last
		in.def = 1 << last
	}
	return in
}

// each calls f for every register of in, those of addresses too.
func (in *ins) each(f func(r *vreg, use, def bool)) {
	for i := range in.args {
		a := &in.args[i]
		if a.reg != nil {
			f(a.reg, in.use&(1<<i) != 0, in.def&(1<<i) != 0)
		}
		if a.mem != nil {
			if a.mem.base != nil {
				f(a.mem.base, true, false)
			}
			if a.mem.index != nil {
				f(a.mem.index, true, false)
			}
		}
	}
}

// inMemory is the operand that is in memory, or -1.
func (in *ins) inMemory() int {
	for i := range in.args {
		if in.args[i].mem != nil {
			return i
		}
	}
	return -1
}

func (in *ins) setWidths() {
	for i := range in.args {
		if a := &in.args[i]; a.width == 0 && a.reg != nil {
			a.width = a.reg.width
		}
	}
}
