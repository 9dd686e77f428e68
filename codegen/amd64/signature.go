package amd64

import (
	"fmt"
	"go/token"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A sig is the signature of a function: its parameters on the stack, in order,
// and then its results.
type sig struct {
	places map[string]string    // of slices, symbols and results, as operand
	ints   map[*loop.Val]string // names in places
	params []string             // declarations
	faults bool
	size   int // bytes of all parameters and results
}

func gridEnds(k *loop.Kernel) []*loop.Val {
	if k.Grid == nil {
		return nil
	}
	return []*loop.Val{k.Grid.Lo, k.Grid.Hi}
}

// newSignature is the signature of the function of k, which is tidy.
func newSignature(k *loop.Kernel, syms []string) *sig {
	s := &sig{places: map[string]string{}, ints: map[*loop.Val]string{}, faults: faults(k)}
	taken := map[string]bool{"bad": true, "n": true}
	pick := func(want string) string {
		if !plainName(want) {
			want += "_"
		}
		if !plainName(want) {
			want = "arg"
		}
		name := want
		for i := 2; taken[name]; i++ {
			name = fmt.Sprintf("%s%d", want, i)
		}
		taken[name] = true
		return name
	}
	slice := func(b *loop.Buffer) {
		name := pick(b.Name)
		s.params = append(s.params, name+" []"+[...]string{"float32", "int32", "bool"}[b.Elem])
		s.places[b.Name] = fmt.Sprintf("%s_base+%d(FP)", name, s.size)
		s.size += 24
	}
	number := func(key, want string) {
		name := pick(want)
		s.params = append(s.params, name+" int")
		s.places[key] = fmt.Sprintf("%s+%d(FP)", name, s.size)
		s.size += 8
	}
	args := k.Arguments()
	for _, b := range args {
		slice(b)
	}
	for _, x := range syms {
		number("$"+x, x)
	}
	for i, v := range k.Ints {
		s.ints[v] = fmt.Sprintf("int %d", i)
		number(s.ints[v], v.Name)
	}
	for _, b := range k.Bufs[len(args):] {
		slice(b)
	}
	for i, v := range gridEnds(k) {
		s.ints[v] = []string{"lo", "hi"}[i]
		number(s.ints[v], s.ints[v])
	}
	if s.faults {
		for _, x := range []string{"bad", "n"} {
			s.places["result "+x] = fmt.Sprintf("%s+%d(FP)", x, s.size)
			s.size += 8
		}
	}
	return s
}

// stub is the declaration of the function in Go.
func (s *sig) stub(k *loop.Kernel, name string) string {
	var b strings.Builder
	if k.Doc != "" {
		fmt.Fprintf(&b, "// %s: %s\n//\n", name, strings.Join(strings.Fields(k.Doc), " "))
	}
	b.WriteString("//go:noescape\nfunc " + name + "(" + strings.Join(grouped(s.params), ", ") + ")")
	if s.faults {
		b.WriteString(" (bad, n int)")
	}
	return b.String() + "\n"
}

// grouped writes the type of neighbours of one type once.
func grouped(params []string) []string {
	out := slices.Clone(params)
	for i := len(out) - 2; i >= 0; i-- {
		name, typ, _ := strings.Cut(params[i], " ")
		if _, next, _ := strings.Cut(params[i+1], " "); next == typ {
			out[i] = name
		}
	}
	return out
}

// plainName reports whether the assembler takes s for a name of a parameter
// rather than for that of a register, and the compiler for no keyword.
func plainName(s string) bool {
	if len(s) == 0 || s == "_" || s == "g" || strings.HasPrefix(s, "arg") {
		return false
	}
	for _, r := range s {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	if len(s) <= 4 && strings.ToUpper(s) == s && s[len(s)-1] != '_' {
		return !registers[strings.TrimRight(s, "0123456789B")] && !registers[s]
	}
	return !token.IsKeyword(s)
}

// registers are names of registers without their numbers, or whole.
var registers = map[string]bool{}

func init() {
	for x := range strings.FieldsSeq("AL CL DL BL SPB BPB SIB DIB AX CX DX BX SP BP SI DI AH CH DH BH R X Y Z K M F CS SS DS ES FS GS " +
		"GDTR IDTR LDTR MSW TASK CR DR TR TLS SB FP PC RARG RLONGLOW") {
		registers[x] = true
	}
}

// allSyms are the symbols of all dims of k, for what needs no real signature.
func allSyms(k *loop.Kernel) []string {
	var out []string
	add := func(ds ...loop.Dim) {
		for _, d := range ds {
			out = append(out, d.Syms()...)
		}
	}
	index := func(at loop.Index) {
		add(at.Off)
		for _, t := range at.Terms {
			add(t.Coef)
		}
	}
	for _, s := range k.Body {
		everywhere(s, func(s loop.Stmt) {
			switch s := s.(type) {
			case *loop.Instr:
				add(s.Dim)
			case *loop.Load:
				index(s.At)
			case *loop.Prefetch:
				index(s.At)
			case *loop.Store:
				index(s.At)
			case *loop.For:
				add(s.From.Dim, s.To.Dim)
			}
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}
