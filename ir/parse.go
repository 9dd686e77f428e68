package ir

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// Parse reads one function in the text form that Func.String prints; op gives
// the op of a name, or nil. Positions and scopes, which are not printed, stay
// empty. Types are inferred again and must be those that are written. Lines
// that start with // are skipped. Errors have the number of the line.
func Parse(text string, op func(name string) *Op) (*Func, error) {
	p := parser{s: text, op: op}
	p.lines()
	f, err := p.function()
	if err == nil {
		p.lines()
		if p.i < len(p.s) {
			err = fmt.Errorf("unexpected %q after the function", p.rest())
		}
	}
	if err == nil {
		err = Verify(f)
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", 1+strings.Count(p.s[:p.i], "\n"), err)
	}
	return f, nil
}

type parser struct {
	s     string
	i     int
	op    func(string) *Op
	depth int
}

// rest is a piece of what comes next, for messages.
func (p *parser) rest() string {
	s, _, _ := strings.Cut(p.s[p.i:], "\n")
	return s[:min(len(s), 20)]
}

// spaces skips spaces on the line.
func (p *parser) spaces() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t' || p.s[p.i] == '\r') {
		p.i++
	}
}

// lines skips spaces, ends of lines and comments.
func (p *parser) lines() {
	for p.i < len(p.s) {
		switch {
		case strings.ContainsRune(" \t\r\n", rune(p.s[p.i])):
			p.i++
		case strings.HasPrefix(p.s[p.i:], "//"):
			for p.i < len(p.s) && p.s[p.i] != '\n' {
				p.i++
			}
		default:
			return
		}
	}
}

// eat skips spaces and then tok if it comes next.
func (p *parser) eat(tok string) bool {
	p.spaces()
	if strings.HasPrefix(p.s[p.i:], tok) {
		p.i += len(tok)
		return true
	}
	return false
}

func (p *parser) expect(tok string) error {
	if !p.eat(tok) {
		return fmt.Errorf("expected %q, found %q", tok, p.rest())
	}
	return nil
}

// word reads up to a space, the end of the line or a byte of stop. It may be
// empty.
func (p *parser) word(stop string) string {
	p.spaces()
	j := p.i
	for p.i < len(p.s) && !strings.ContainsRune(" \t\r\n"+stop, rune(p.s[p.i])) {
		p.i++
	}
	return p.s[j:p.i]
}

func (p *parser) function() (*Func, error) {
	if p.depth++; p.depth > 50 {
		return nil, fmt.Errorf("functions are nested too deeply")
	}
	defer func() { p.depth-- }()
	if err := p.expect("func"); err != nil {
		return nil, err
	}
	f := &Func{Name: p.word("")}
	if f.Name == "" || f.Name == "{" {
		return nil, fmt.Errorf("a function has no name")
	}
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	for {
		p.lines()
		if p.eat("return") {
			break
		}
		if err := p.value(f); err != nil {
			return nil, err
		}
	}
	for p.eat("%") {
		v, err := p.operand(f)
		if err != nil {
			return nil, err
		}
		f.Results = append(f.Results, v)
	}
	p.lines()
	return f, p.expect("}")
}

// value reads a line such as %1 = sum %0 axes=[1] : f32[B].
func (p *parser) value(f *Func) error {
	if err := p.expect("%"); err != nil {
		return err
	}
	v := &Value{ID: len(f.Values)}
	if id := p.word(""); id != strconv.Itoa(v.ID) {
		return fmt.Errorf("the value %%%s is number %d", id, v.ID)
	}
	if err := p.expect("="); err != nil {
		return err
	}
	name := p.word("")
	if name == Param.Name {
		return p.param(f, v)
	}
	if v.Op = p.op(name); v.Op == nil {
		return fmt.Errorf("there is no op %q", name)
	}
	for p.eat("%") {
		a, err := p.operand(f)
		if err != nil {
			return err
		}
		v.Args = append(v.Args, a)
	}
	for !p.eat(":") {
		s, err := p.setting(v.Op)
		if err != nil {
			return err
		}
		v.attrs = append(v.attrs, s)
	}
	v.attrs = order(v.Op, v.attrs)
	t, err := p.typ()
	if err != nil {
		return err
	}
	if v.Type, err = check(v); err != nil {
		return fmt.Errorf("%s: %w", v.Op.Name, err)
	}
	if !t.Equal(v.Type) {
		return fmt.Errorf("%s: the type is %v, not %v", v.Op.Name, v.Type, t)
	}
	f.Values = append(f.Values, v)
	return p.endOfLine()
}

func (p *parser) param(f *Func, v *Value) error {
	v.Op, v.Scope = Param, p.word("")
	if v.Scope == ":" {
		v.Scope = ""
		p.i--
	}
	if err := p.expect(":"); err != nil {
		return err
	}
	t, err := p.typ()
	if err != nil {
		return err
	}
	v.Type = t
	if len(f.Params) < len(f.Values) {
		return fmt.Errorf("parameters come first")
	}
	f.Params = append(f.Params, v)
	f.Values = append(f.Values, v)
	return p.endOfLine()
}

func (p *parser) endOfLine() error {
	p.spaces()
	if p.i < len(p.s) && p.s[p.i] != '\n' {
		return fmt.Errorf("unexpected %q", p.rest())
	}
	return nil
}

// operand reads the number of a value that stands before.
func (p *parser) operand(f *Func) (*Value, error) {
	w := p.word("}")
	n, err := strconv.Atoi(w)
	if err != nil || n < 0 || n >= len(f.Values) || strconv.Itoa(n) != w {
		return nil, fmt.Errorf("there is no value %%%s before", w)
	}
	return f.Values[n], nil
}

// setting reads name=value; the value is a function, a quoted string, or a
// word.
func (p *parser) setting(op *Op) (Setting, error) {
	name := p.word("=")
	if err := p.expect("="); err != nil {
		return Setting{}, err
	}
	var key Key
	for _, k := range op.Attrs {
		if k.Name() == name {
			key = k
		}
	}
	if key == nil {
		return Setting{}, fmt.Errorf("%s has no attribute %q", op.Name, name)
	}
	if _, is := key.zero().(*Func); is {
		f, err := p.function()
		return Setting{key, f}, err
	}
	text := ""
	if p.i < len(p.s) && p.s[p.i] == '"' {
		q, err := strconv.QuotedPrefix(p.s[p.i:])
		if err != nil {
			return Setting{}, fmt.Errorf("%s: %q is not a string", name, p.rest())
		}
		text = q
		p.i += len(q)
	} else {
		text = p.word("")
	}
	s, err := parseAttr(key, text)
	if err != nil {
		return s, fmt.Errorf("%s=%s: %w", name, text, err)
	}
	return s, nil
}

// typ reads what Type.String prints.
func (p *parser) typ() (Type, error) {
	if p.depth++; p.depth > 50 {
		return Type{}, fmt.Errorf("types are nested too deeply")
	}
	defer func() { p.depth-- }()
	if p.eat("(") {
		t := Type{Tuple: []Type{}}
		if p.eat(")") {
			return t, nil
		}
		for {
			u, err := p.typ()
			if err != nil {
				return t, err
			}
			t.Tuple = append(t.Tuple, u)
			if p.eat(")") {
				return t, nil
			}
			if err := p.expect(","); err != nil {
				return t, err
			}
		}
	}
	elem, err := parseElem(p.word("[(),"))
	if err != nil {
		return Type{}, err
	}
	t := Type{Elem: elem}
	if !p.eat("[") {
		return t, nil
	}
	t.Shape = []Dim{}
	if p.eat("]") {
		return t, nil
	}
	for {
		d, err := loop.ParseDim(p.word(",]"))
		if err != nil {
			return t, err
		}
		t.Shape = append(t.Shape, d)
		if p.eat("]") {
			return t, nil
		}
		if err := p.expect(","); err != nil {
			return t, err
		}
	}
}
