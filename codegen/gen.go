package codegen

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// gen is one run of Generate.
type gen struct {
	p     *loop.Program
	api   *loop.API
	opt   Options
	files []*file
	asm   []File // of kernels

	top     scope                // names of the package
	fields  scope                // fields and methods of memory
	procs   map[*loop.Proc]*proc // what is reachable
	order   []*proc              // bodies before the procedures that call them
	kernel  map[*loop.Kernel]*kernel
	uses    map[string]bool            // fields of memory that something uses
	table   map[*loop.TableData]string // variable of each constant table
	slots   [3]int                     // scalar arguments and results of a call, by Elem
	scratch [3]int                     // copies of arguments that share memory with a destination, by Elem
}

func newGen(p *loop.Program, opt Options) (*gen, error) {
	if p == nil || p.API == nil {
		return nil, fmt.Errorf("bug in codegen: no program")
	}
	g := &gen{
		p: p, api: p.API, opt: opt,
		procs: map[*loop.Proc]*proc{}, kernel: map[*loop.Kernel]*kernel{}, uses: map[string]bool{},
	}
	if opt.Standalone && opt.ImportPath == "" {
		return nil, fmt.Errorf("bug in codegen: standalone output needs its import path")
	}
	if err := g.claimNames(); err != nil {
		return nil, err
	}
	return g, g.analyse()
}

// packageNames are the names that every generated package may declare.
const packageNames = `Weights NewWeights InitWeights Session NewSession ModelHash ParamCount ArenaBytes KernelPath
	params memory modelName need span inUse ownMeta copyParams ramp unlessFinite leastAllocs
	preparedSizes lent kernelTable kernelTables kernelPaths kernelsNamed portableKernels avx2Kernels avx512Kernels`

// claimNames takes the names of the exported API and reports clashes between
// what the text declares and what every package has.
func (g *gen) claimNames() error {
	g.top = newScope()
	g.fields = newScope("floats", "ints", "flags", "weights", "grads", "moments", "scalars", "key",
		"cacheFloats", "cacheInts", "cacheFlags", "floatSlots", "intSlots", "flagSlots",
		"floatCopies", "intCopies", "flagCopies", "kernels", "scratch", "prepared", "Prepare", "grow", "use", "m")
	for _, n := range strings.Fields(packageNames) {
		g.top[n] = true
	}
	session := scope{}
	for _, n := range strings.Fields("Reset Weights KernelPath UseKernels acquire release prepare") {
		session[n] = true
	}
	take := func(s scope, name, what string) error {
		if s[name] {
			return fmt.Errorf("%s %s: the generated package has another %s; rename one of them", what, name, name)
		}
		s[name] = true
		return nil
	}
	for _, e := range g.api.Entries {
		if err := take(session, e.Name, "func"); err != nil {
			return err
		}
	}
	for _, x := range g.api.Generators {
		if err := take(session, x.Name, "generate"); err != nil {
			return err
		}
		for _, suffix := range []string{"Options", "State"} {
			if err := take(g.top, x.Name+suffix, "generate"); err != nil {
				return err
			}
		}
		if err := take(g.top, "Default"+x.Name+"Options", "generate"); err != nil {
			return err
		}
	}
	for _, t := range g.api.Trainers {
		for _, n := range []string{t.Name, t.Name + "Options", t.Name + "Result", t.Name + "Batch", "New" + t.Name, "Default" + t.Name + "Options"} {
			if err := take(g.top, n, "train"); err != nil {
				return err
			}
		}
	}
	for _, e := range g.api.Entries {
		if hasOptions(e) {
			for _, n := range []string{e.Name + "Options", "Default" + e.Name + "Options"} {
				if err := take(g.top, n, "func"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func hasOptions(e *loop.Entry) bool {
	for _, a := range e.Args {
		if a.Default != nil {
			return true
		}
	}
	return false
}

func (g *gen) importPath() string {
	if g.opt.ImportPath != "" {
		return g.opt.ImportPath
	}
	return g.api.Package
}

func (g *gen) runtimePath() string {
	if g.opt.Standalone {
		return g.opt.ImportPath + "/runtime"
	}
	return imports["runtime"]
}

// file starts an output file.
func (g *gen) file(name string) *file {
	f := &file{name: name}
	g.files = append(g.files, f)
	return f
}
