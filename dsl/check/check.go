package check

import (
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// Options say what to check and how.
type Options struct {
	// Model is the model to build; the first of the text if it is empty.
	Model string
	// Set gives dims and options of the model other values: "D": "1024".
	Set map[string]string
	// Dims fix or bound dims that are known only when an entry is called.
	Dims []DimOption
	// Float64 makes every f32 of the package a float64.
	Float64 bool
	// Vet makes errors of the warnings about dims that agree by chance.
	Vet bool
	// Import parses the files of a local folder, `import "./attn"`. Without it
	// such imports are errors.
	Import func(path string) ([]*dsl.File, dsl.Diagnostics, error)
}

// A DimOption is -dim B=32 (Rel "=") or -dim B<=32 (Rel "<=").
type DimOption struct {
	Name string
	Rel  string
	N    int
}

// Check checks the package of files and returns the module of one model. The
// module is nil if there are errors. The files must come from dsl.Parse;
// diagnostics of the parser are not repeated.
func Check(files []*dsl.File, opt Options) (*ir.Module, dsl.Diagnostics) {
	w := newWorld(files, opt)
	models := w.models()
	var d *layerDecl
	for _, m := range models {
		if opt.Model == "" || m.decl.Name.Text == opt.Model {
			d = m
			break
		}
	}
	if d == nil {
		w.diags = append(w.diags, w.noModel(models))
		w.diags.Sort()
		return nil, w.diags
	}
	c := &checker{world: w}
	m := c.checkModel(d)
	w.diags.Sort()
	if w.diags.HasErrors() {
		return nil, w.diags
	}
	return m, w.diags
}

// noModel says that the model asked for is not there.
func (w *world) noModel(models []*layerDecl) *dsl.Diagnostic {
	f := w.root.files[0]
	at := dsl.Node(f)
	if f.Package != nil {
		at = f.Package
	}
	if len(models) == 0 {
		return dsl.Errorf(f.Name, at, "this package has no model").Helpf("declare one with `model Name[…] { … }`")
	}
	var names []string
	for _, m := range models {
		names = append(names, m.decl.Name.Text)
	}
	return suggest(dsl.Errorf(f.Name, at, "there is no model `%s`", w.opt.Model), w.opt.Model, names, "there are "+strings.Join(names, ", "))
}

// All checks everything in the package: all models, and the funcs that
// can be checked by themselves. It returns the modules of all models by name,
// nil after errors.
func All(files []*dsl.File, opt Options) (map[string]*ir.Module, dsl.Diagnostics) {
	w := newWorld(files, opt)
	out := map[string]*ir.Module{}
	for _, d := range w.models() {
		c := &checker{world: w}
		out[d.decl.Name.Text] = c.checkModel(d)
	}
	w.consts()
	w.freeFuncs()
	if !w.diags.HasErrors() {
		w.unusedLayers()
	}
	w.diags.Sort()
	if w.diags.HasErrors() {
		return nil, w.diags
	}
	return out, w.diags
}

func newWorld(files []*dsl.File, opt Options) *world {
	w := &world{opt: opt, pkgs: map[string]*pkg{}}
	src, ok := dsl.Std("prelude")
	if !ok {
		panic("bug in check: there is no prelude")
	}
	f, _ := dsl.Parse("prelude/prelude.lm", src)
	w.prelude = w.load([]*dsl.File{f})
	w.root = w.load(files)
	if w.root.name == "prelude" {
		w.prelude = w.root // checking the library itself
	}
	return w
}

// models lists the models of the root package, in the order of the text.
func (w *world) models() []*layerDecl {
	var out []*layerDecl
	for _, n := range w.root.order {
		if d := w.root.layers[n]; d != nil && d.decl.Kind == dsl.KindModel {
			out = append(out, d)
		}
	}
	return out
}

// consts evaluates the consts of the package, used or not.
func (w *world) consts() {
	c := &checker{world: w, rigid: true, dry: true, out: &output{}}
	for _, n := range sortedKeys(w.root.consts) {
		g := w.root.consts[n]
		c.outside(&layerDecl{decl: &dsl.LayerDecl{Name: g.decl.Name}, pkg: w.root, file: g.file})
		c.try(func() { c.globalConst(w.root, g) })
	}
}

// freeFuncs checks the funcs of the package for all values of their dims.
func (w *world) freeFuncs() {
	for _, n := range w.root.order {
		f := w.root.funcs[n]
		if f == nil || !callable(f.decl) {
			continue
		}
		for _, training := range []bool{false, true} {
			c := &checker{world: w, rigid: true, training: training, out: &output{}}
			c.compile(f, nil)
		}
	}
}

// callable tells whether a func can be checked by itself: its parameters are
// not such that only a caller can give them.
func callable(f *dsl.FuncDecl) bool {
	for _, p := range f.Params {
		switch p.Type.Name.Text {
		case "func", "layer", "init":
			return false
		}
	}
	return true
}
