package passes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lmc-lang/lmc/ir"
)

// Options say what to report while passes run. All of them may be zero.
type Options struct {
	// Dump is called after the pass whose name is in DumpAfter (all of them if it is "all") with the text of
	// all functions. The checked module itself is called "check".
	Dump      func(pass, text string)
	DumpAfter string
	// Time is called with the time that each pass took, verification not counted.
	Time func(pass string, took time.Duration)
	// Before may change the program before each pass in a way that must not matter, and Compare may say that a
	// function has changed its meaning. Tests shuffle values and evaluate.
	Before  func(p *Program) error
	Compare func(before, after *ir.Func) error
}

// Run applies all passes to m, which stays as it is. After every pass each
// function is verified and all that holds so far is checked again. An error is
// a mistake of the user (with a position if it is an *ops.GradientError) or
// reads "bug in pass …" and names a folder with the functions before and after.
func Run(m *ir.Module, o Options) (*Program, error) { return run(List, newProgram(m), o) }

func run(list []*Pass, p *Program, o Options) (*Program, error) {
	if err := ordered(list); err != nil {
		return nil, err
	}
	dump := func(name string) {
		if o.Dump != nil && (o.DumpAfter == name || o.DumpAfter == "all") {
			o.Dump(name, p.String())
		}
	}
	if err := verify(p); err != nil {
		return nil, report("check", p, nil, err)
	}
	dump("check")
	var holds []*Pass
	for _, pass := range list {
		if o.Before != nil {
			if err := o.Before(p); err != nil {
				return nil, err
			}
		}
		before := p.copy()
		start := time.Now()
		if err := pass.Run(p); err != nil {
			if isMistake(err) {
				return nil, err
			}
			return nil, report(pass.Name, before, p, err)
		}
		if o.Time != nil {
			o.Time(pass.Name, time.Since(start))
		}
		if err := verify(p); err != nil {
			return nil, report(pass.Name, before, p, err)
		}
		if pass.Holds != nil {
			holds = append(holds, pass)
		}
		for _, h := range holds {
			if err := h.Holds(p); err != nil {
				return nil, report(pass.Name, before, p, fmt.Errorf("what %s promises does not hold: %w", h.Name, err))
			}
		}
		if o.Compare != nil {
			if err := compare(before, p, o.Compare); err != nil {
				return nil, report(pass.Name, before, p, err)
			}
		}
		dump(pass.Name)
	}
	return p, nil
}

// ordered checks the fields After.
func ordered(list []*Pass) error {
	var seen []string
	for _, p := range list {
		for _, a := range p.After {
			if !slices.Contains(seen, a.Pass) {
				return fmt.Errorf("bug in pass %s: it comes before %s, but %s", p.Name, a.Pass, a.Why)
			}
		}
		if slices.Contains(seen, p.Name) {
			return fmt.Errorf("bug in pass %s: it stands twice", p.Name)
		}
		seen = append(seen, p.Name)
	}
	return nil
}

// verify checks every function of p.
func verify(p *Program) error {
	for _, s := range p.slots() {
		if err := ir.Verify(*s.f); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// compare calls same for the functions that are in both and still take the
// same parameters.
func compare(before, after *Program, same func(before, after *ir.Func) error) error {
	olds := before.slots()
	for _, s := range after.slots() {
		i := slices.IndexFunc(olds, func(o slot) bool { return o.name == s.name })
		if i < 0 || *olds[i].f == *s.f || !sameParams(*olds[i].f, *s.f) {
			continue
		}
		if err := same(*olds[i].f, *s.f); err != nil {
			return fmt.Errorf("changes the result of %s: %w", s.name, err)
		}
	}
	return nil
}

func sameParams(f, g *ir.Func) bool {
	return slices.EqualFunc(f.Params, g.Params, func(p, q *ir.Value) bool { return p.Type.Equal(q.Type) && p.Scope == q.Scope })
}

// report is the error for a bug in a pass; it writes the functions before and
// after to a folder of temporary files.
func report(pass string, before, after *Program, err error) error {
	dir, e := os.MkdirTemp("", "lmc-bug-")
	if e != nil {
		return fmt.Errorf("bug in pass %s: %w", pass, err)
	}
	write := func(name string, p *Program) {
		if p != nil && e == nil {
			e = os.WriteFile(filepath.Join(dir, name), []byte(p.String()), 0o644)
		}
	}
	write("before.ir", before)
	write("after.ir", after)
	if e != nil {
		return fmt.Errorf("bug in pass %s: %w", pass, err)
	}
	return fmt.Errorf("bug in pass %s: %w (the functions are in %s)", pass, err, dir)
}

// Names lists the passes in order, for messages.
func Names() string {
	var out []string
	for _, p := range List {
		out = append(out, p.Name)
	}
	return strings.Join(out, ", ")
}
