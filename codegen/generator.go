package codegen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// generators prints a method of Session for each generate block.
func (g *gen) generators() error {
	for _, x := range g.api.Generators {
		if err := g.generator(x); err != nil {
			return err
		}
	}
	return nil
}

func (g *gen) generator(x *loop.Generator) error {
	ids, pos, err := generatorArgs(x)
	if err != nil {
		return err
	}
	// What is no method of the session becomes one that is not exported.
	var hidden []*loop.Entry
	hide := func(e *loop.Entry, name, doc string) *loop.Entry {
		c := *e
		c.Args = slices.Clone(e.Args)
		for i := range c.Args {
			c.Args[i].Default = nil
		}
		c.Name, c.Doc = name, name+" "+doc
		hidden = append(hidden, &c)
		return &c
	}
	step := x.Step.Name
	if !g.isEntry(x.Step) {
		step = hide(x.Step, "step"+x.Name, "scores the next token.").Name
	}
	sample := hide(x.Sample, "sample"+x.Name, "picks a token by its scores.")
	f := g.file(strings.ToLower(x.Name) + "_gen.go")
	var fields, values strings.Builder
	for _, o := range x.Options {
		typ, value := g.float(), g.literal(loop.F32, o.Default)
		if o.Integer {
			typ, value = "int32", strconv.FormatInt(int64(o.Default), 10)
		}
		doc := ""
		if o.Doc != "" {
			doc = " // " + strings.ReplaceAll(strings.TrimSpace(o.Doc), "\n", " ")
		}
		fmt.Fprintf(&fields, "%s %s%s\n", o.Name, typ, doc)
		fmt.Fprintf(&values, "%s: %s,\n", o.Name, value)
	}
	fmt.Fprintf(&values, "Limit: %d,\n", x.Limit)
	stop := ""
	if x.Stop >= 0 {
		stop = fmt.Sprintf(" The token %d\n// ends it and is not yielded.", x.Stop)
	}
	doc := strings.TrimSpace(x.Doc)
	if doc == "" {
		doc = fmt.Sprintf("%s continues a text by %s, one token at a time.", x.Name, step)
	}
	args := []string{"token", "scores"}
	for i, a := range x.Sample.Args[1:] {
		args = append(args, optionArg(x, i, a))
	}
	if sample.Random {
		args = append(args, "runtime.Mix(o.Seed, uint64(filled))")
	}
	stepArgs := make([]string, len(x.Step.Args))
	stepArgs[ids], stepArgs[pos] = "runtime.Tensor2[int32]{Data: next, Shape: [2]int{1, len(next)}}", "filled"
	call := append([]string{"scores" + data("", len(x.Step.Results[0].Shape))}, stepArgs...)
	if x.Step.Random {
		call = append(call, "o.Seed")
	}
	stopText := ""
	if x.Stop >= 0 {
		stopText = fmt.Sprintf("if token[0] == %d {\nreturn\n}\n", x.Stop)
	}
	f.add(`
// $NameOptions are the numbers of $Name that can be chosen.
type $NameOptions struct {
$fields	Limit int // most tokens, the prompt included; 0 for as many as the model takes
	Seed uint64 // of the choice of tokens
}

// Default$NameOptions has the values that the model declares.
func Default$NameOptions() $NameOptions {
	return $NameOptions{
$values}
}

$doc
//
// It yields the tokens after the prompt as they are made.$stop It ends
// after an error. The caches of the session begin anew; nothing else may use
// them before the last token.
func (s *Session) $Name(prompt []int32, o $NameOptions) iter.Seq2[int32, error] {
	return func(yield func(int32, error) bool) {
		if len(prompt) == 0 {
			yield(0, fmt.Errorf("%s: $Name: the prompt is empty", modelName))
			return
		}
		s.Reset()
		var (
			next   = prompt
			token  []int32
			scores $scores
			err    error
		)
		for filled := 0; o.Limit <= 0 || filled+len(next) < o.Limit; {
			if scores, err = s.$step($call); err != nil {
				yield(0, err)
				return
			}
			filled += len(next)
			if token, err = s.$sample($args); err != nil {
				yield(0, err)
				return
			}
			$stopText if !yield(token[0], nil) {
				return
			}
			next = token
		}
	}
}`, "Name", x.Name, "fields", fields.String(), "values", values.String(), "doc", commentText(doc), "stop", stop,
		"scores", g.tensor(x.Step.Results[0].Elem, len(x.Step.Results[0].Shape)), "step", step, "call", strings.Join(call, ", "),
		"sample", sample.Name, "args", strings.Join(args, ", "), "stopText", stopText)
	for _, e := range hidden {
		text, err := g.entry(e)
		if err != nil {
			return err
		}
		f.add("$text", "text", text)
	}
	return nil
}

func (g *gen) isEntry(e *loop.Entry) bool {
	for _, x := range g.api.Entries {
		if x.Name == e.Name {
			return true
		}
	}
	return false
}

// generatorArgs finds the tokens and the position among the arguments of the
// step of a generator.
func generatorArgs(x *loop.Generator) (ids, pos int, err error) {
	ids, pos = -1, -1
	for i, a := range x.Step.Args {
		switch {
		case a.IsDim && pos < 0:
			pos = i
		case a.Elem == loop.I32 && len(a.Shape) == 2 && ids < 0:
			ids = i
		default:
			return 0, 0, fmt.Errorf("generate %s: %s must have the parameters ids i32[B, T] and P dim, not %s", x.Name, x.Step.Name, a.Name)
		}
	}
	if ids < 0 || pos < 0 || len(x.Step.Results) != 1 || len(x.Step.Results[0].Shape) != 2 {
		return 0, 0, fmt.Errorf("generate %s: %s must have the parameters ids i32[B, T] and P dim and the result f32[B, V]", x.Name, x.Step.Name)
	}
	s := x.Sample
	if len(s.Args) == 0 || len(s.Results) != 1 || len(s.Results[0].Shape) != 1 || s.Results[0].Elem != loop.I32 {
		return 0, 0, fmt.Errorf("generate %s: the sampler must give i32[B]", x.Name)
	}
	return ids, pos, nil
}

// optionArg is the value of a further argument of the sampler: the option of
// that name, or the one in that place.
func optionArg(x *loop.Generator, i int, a loop.Param) string {
	for _, o := range x.Options {
		if strings.EqualFold(identifier(o.Name), identifier(a.Name)) {
			return "o." + o.Name
		}
	}
	if i < len(x.Options) {
		return "o." + x.Options[i].Name
	}
	if a.Default != nil {
		return strconv.FormatFloat(*a.Default, 'g', -1, 64)
	}
	return zero(a.Elem)
}
