package runtime

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A NameTable is a names block of a model as data: how the tensors of a
// checkpoint of another program map to the model's.
type NameTable struct {
	Name   string // huggingface
	Rules  []NameRule
	Ignore []string // patterns of foreign tensors nobody needs; see [MatchName]
}

// A NameRule gives the tensors of the model that Pattern matches. A hole {i} in
// the pattern matches a part of a name without a dot, the same everywhere.
type NameRule struct {
	Pattern string
	Expr    *NameExpr
}

// A NameExpr is an expression over foreign tensors.
//
//	Op         Ints          is
//	tensor                   the foreign tensor Name, in which {i} stands for what
//	                         the pattern matched and {i+1} for that plus one; a hole
//	                         that the pattern lacks counts 0, 1, … and stacks, as a
//	                         new first axis
//	transpose                Args[0] with its last two axes exchanged
//	permute    axes          Args[0]; axis k of the result is axis axes[k]
//	reshape    shape         Args[0] with another shape
//	concat     axis          Args one after the other
//	stack      axis          Args along a new axis
//	add                      the sum of Args
//	slice      axis, lo, hi  a part of Args[0]
type NameExpr struct {
	Op   string
	Name string
	Args []*NameExpr
	Ints []int
}

// ReadForeign reads a foreign checkpoint into data through the rules of a names
// block and returns its metadata. Each tensor of the model must have one rule
// and its shape, each foreign tensor must be used or ignored; otherwise the
// error is a [MismatchError] and data is as before.
func ReadForeign[F Float](r io.Reader, params []ParamInfo, data []F, table NameTable, opt LoadOptions) (map[string]string, error) {
	f, err := openReader(r)
	if err != nil {
		return nil, withModel(opt.Model, err)
	}
	rules, err := compileRules(table)
	if err != nil {
		return nil, withModel(opt.Model, err)
	}
	mismatch := &MismatchError{Model: opt.Model}
	type pair struct {
		from *foreign
		into View[F]
	}
	var pairs []pair
	res := resolver{file: f, used: map[*FileTensor]bool{}}
	for v := range Views(params, data) {
		rule, holes, err := rules.find(v.Name)
		if err != nil {
			return nil, withModel(opt.Model, err)
		}
		from, err := res.resolve(rule.Expr, holes)
		switch lack, ok := err.(lacking); {
		case ok:
			mismatch.Missing = append(mismatch.Missing, fmt.Sprintf("%s (for %s)", string(lack), v.Name))
		case err != nil:
			mismatch.Differ = append(mismatch.Differ, fmt.Sprintf("%s: %v", v.Name, err))
		case !slices.Equal(from.shape, v.Shape):
			mismatch.Differ = append(mismatch.Differ, fmt.Sprintf("%s: file %s (from %s), model %s", v.Name, floatName[F]()+shapeName(from.shape), strings.Join(from.names(nil), ", "), floatName[F]()+shapeName(v.Shape)))
		default:
			pairs = append(pairs, pair{from, v})
		}
	}
	mismatch.Unexpected = f.unused(res.used, append(slices.Clip(opt.Ignore), table.Ignore...))
	if mismatch.Differ != nil || mismatch.Missing != nil || mismatch.Unexpected != nil {
		return nil, mismatch
	}
	for _, p := range pairs {
		if err := evalForeign(p.from, p.into.Data); err != nil {
			return nil, withModel(opt.Model, err)
		}
	}
	return f.Meta, nil
}

// compiled is the rules with their patterns taken apart.
type compiled struct {
	table NameTable
	left  [][]namePart
}

func compileRules(table NameTable) (*compiled, error) {
	c := &compiled{table: table, left: make([][]namePart, len(table.Rules))}
	for i, r := range table.Rules {
		parts, err := splitName(r.Pattern)
		if err != nil {
			return nil, fmt.Errorf("names %s: %w", table.Name, err)
		}
		for _, p := range parts {
			if p.hole != "" && p.plus != 0 {
				return nil, fmt.Errorf("names %s: %q computes with a hole on the left", table.Name, r.Pattern)
			}
		}
		c.left[i] = parts
	}
	return c, nil
}

// find is the one rule for a tensor of the model, and what its holes match.
func (c *compiled) find(name string) (rule *NameRule, holes map[string]string, err error) {
	for i, parts := range c.left {
		h := map[string]string{}
		if !matchParts(parts, name, h) {
			continue
		}
		if rule != nil {
			return nil, nil, fmt.Errorf("names %s: both %q and %q give %s", c.table.Name, rule.Pattern, c.table.Rules[i].Pattern, name)
		}
		rule, holes = &c.table.Rules[i], h
	}
	if rule == nil {
		return nil, nil, fmt.Errorf("names %s: no rule gives %s", c.table.Name, name)
	}
	return rule, holes, nil
}

// namePart is literal text, or a hole with a number added to it.
type namePart struct {
	text string
	hole string
	plus int
}

// splitName takes a pattern apart: "h.{i+1}.w" is text, hole i plus 1, text.
func splitName(pattern string) (parts []namePart, err error) {
	for rest := pattern; rest != ""; {
		before, hole, after, ok := cutHole(rest)
		if !ok {
			return append(parts, namePart{text: rest}), nil
		}
		if before != "" {
			parts = append(parts, namePart{text: before})
		}
		p := namePart{hole: hole}
		if at := strings.IndexAny(hole, "+-"); at >= 0 {
			p.hole = hole[:at]
			if p.plus, err = strconv.Atoi(strings.ReplaceAll(hole[at:], " ", "")); err != nil {
				return nil, fmt.Errorf("%q has a hole {%s} that is not a name, or a name plus a number", pattern, hole)
			}
		}
		if p.hole = strings.TrimSpace(p.hole); p.hole == "" {
			return nil, fmt.Errorf("%q has a hole without a name", pattern)
		}
		parts, rest = append(parts, p), after
	}
	return parts, nil
}

// matchParts fits a name to the parts of a pattern and enters its holes.
func matchParts(parts []namePart, name string, holes map[string]string) bool {
	if len(parts) == 0 {
		return name == ""
	}
	p := parts[0]
	if p.hole == "" {
		rest, ok := strings.CutPrefix(name, p.text)
		return ok && matchParts(parts[1:], rest, holes)
	}
	if bound, ok := holes[p.hole]; ok {
		rest, ok := strings.CutPrefix(name, bound)
		return ok && matchParts(parts[1:], rest, holes)
	}
	for n := 1; n <= len(name) && name[n-1] != '.'; n++ {
		holes[p.hole] = name[:n]
		if matchParts(parts[1:], name[n:], holes) {
			return true
		}
		delete(holes, p.hole)
	}
	return false
}

// fillParts is the name with the holes filled; free is the first hole that is
// not bound, or empty.
func fillParts(parts []namePart, holes map[string]string) (name, free string, err error) {
	var b strings.Builder
	for _, p := range parts {
		switch value, bound := holes[p.hole]; {
		case p.hole == "":
			b.WriteString(p.text)
		case !bound:
			return "", p.hole, nil
		case p.plus == 0:
			b.WriteString(value)
		default:
			n, err := strconv.Atoi(value)
			if err != nil {
				return "", "", fmt.Errorf("{%s} is %q, to which nothing can be added", p.hole, value)
			}
			b.WriteString(strconv.Itoa(n + p.plus))
		}
	}
	return b.String(), "", nil
}

// with binds one more hole.
func with(holes map[string]string, hole string, i int) map[string]string {
	h := make(map[string]string, len(holes)+1)
	for k, v := range holes {
		h[k] = v
	}
	h[hole] = strconv.Itoa(i)
	return h
}

// lacking is the error of a foreign tensor that is not in the file.
type lacking string

func (l lacking) Error() string { return "the file lacks " + string(l) }

// foreign is a NameExpr with its holes filled, its tensors found and its shape
// computed.
type foreign struct {
	op    string
	shape []int
	args  []*foreign
	ints  []int
	from  *FileTensor // op tensor
}

// names appends the names of all tensors in x.
func (x *foreign) names(into []string) []string {
	if x.from != nil {
		return append(into, x.from.Name)
	}
	for _, a := range x.args {
		into = a.names(into)
	}
	return into
}

type resolver struct {
	file *File
	used map[*FileTensor]bool
}

func (r *resolver) resolve(e *NameExpr, holes map[string]string) (*foreign, error) {
	if e.Op == "tensor" {
		parts, err := splitName(e.Name)
		if err != nil {
			return nil, err
		}
		return r.tensor(parts, holes)
	}
	x := &foreign{op: e.Op, ints: e.Ints}
	for _, a := range e.Args {
		y, err := r.resolve(a, holes)
		if err != nil {
			return nil, err
		}
		x.args = append(x.args, y)
	}
	if err := x.infer(); err != nil {
		return nil, err
	}
	return x, nil
}

// tensor finds a tensor, or all that a free hole counts.
func (r *resolver) tensor(parts []namePart, holes map[string]string) (*foreign, error) {
	name, free, err := fillParts(parts, holes)
	if err != nil {
		return nil, err
	}
	if free == "" {
		t := r.file.Lookup(name)
		if t == nil {
			return nil, lacking(name)
		}
		r.used[t] = true
		return &foreign{op: "tensor", shape: t.Shape, from: t}, nil
	}
	x := &foreign{op: "stack", ints: []int{0}}
	for i := 0; ; i++ {
		y, err := r.tensor(parts, with(holes, free, i))
		if _, end := err.(lacking); end && i > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		x.args = append(x.args, y)
	}
	return x, x.infer()
}
