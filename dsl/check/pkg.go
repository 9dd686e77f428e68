package check

import (
	"path"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
)

// A world is what all checks of one run share: the packages and the messages.
type world struct {
	opt     Options
	root    *pkg
	prelude *pkg
	pkgs    map[string]*pkg // by import path
	diags   dsl.Diagnostics
	loading []string
}

// A pkg is a package: the declarations of its files by name.
type pkg struct {
	name     string
	files    []*dsl.File
	imports  map[*dsl.File]map[string]*pkg
	dims     map[string]*dimDecl
	dimNames []string // of dims, in order
	consts   map[string]*globalConst
	funcs    map[string]*function
	layers   map[string]*layerDecl
	order    []string           // funcs and layers in the order of the text
	poisoned map[string]bool    // names whose declaration cannot be read
	lacking  map[*dsl.File]bool // files with an import that failed
}

// names lists what the package declares, in order.
func (p *pkg) names() []string {
	return slices.Concat(p.order, sortedKeys(p.consts), p.dimNames)
}

// A dimDecl is a dim declared in a file or layer, with its bound.
type dimDecl struct {
	item *dsl.DimItem
	file *dsl.File
}

// A globalConst is a const of a file; it is evaluated when first used.
type globalConst struct {
	decl *dsl.ConstDecl
	file *dsl.File
	val  value
	busy bool
}

// A function is a func, or a method together with its layer.
type function struct {
	decl *dsl.FuncDecl
	pkg  *pkg
	file *dsl.File
	self *layer
}

// A layerDecl is a layer, model or optimizer as a value: something to
// instantiate.
type layerDecl struct {
	decl *dsl.LayerDecl
	pkg  *pkg
	file *dsl.File
	used bool // it was instantiated
}

func (d *layerDecl) show() string { return "the " + string(d.decl.Kind) + " " + d.decl.Name.Text }

// load makes a package of its files.
func (w *world) load(files []*dsl.File) *pkg {
	p := &pkg{
		files: files, imports: map[*dsl.File]map[string]*pkg{}, dims: map[string]*dimDecl{}, consts: map[string]*globalConst{},
		funcs: map[string]*function{}, layers: map[string]*layerDecl{}, poisoned: map[string]bool{}, lacking: map[*dsl.File]bool{},
	}
	for _, f := range files {
		if f.Package == nil {
			continue
		}
		if p.name == "" {
			p.name = f.Package.Text
		} else if p.name != f.Package.Text {
			w.diags = append(w.diags, dsl.Errorf(f.Name, f.Package, "the files of a folder form one package, but this is `%s`, not `%s`", f.Package.Text, p.name))
		}
	}
	seen := map[string]bool{}
	twice := func(f *dsl.File, n *dsl.Name) bool {
		if seen[n.Text] {
			w.diags = append(w.diags, dsl.Errorf(f.Name, n, "`%s` is declared twice", n.Text))
			return true
		}
		seen[n.Text] = true
		return false
	}
	for _, f := range files {
		p.imports[f] = map[string]*pkg{}
		for _, im := range f.Imports {
			w.imported(p, f, im)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *dsl.DimDecl:
				for _, it := range d.Items {
					if !isCapital(it.Name.Text) {
						w.diags = append(w.diags, dsl.Errorf(f.Name, it.Name, "the name of a dimension starts with a capital letter").
							Helpf("write `%s`", strings.ToUpper(it.Name.Text[:1])+it.Name.Text[1:]))
					}
					if !twice(f, it.Name) {
						p.dims[it.Name.Text] = &dimDecl{it, f}
						p.dimNames = append(p.dimNames, it.Name.Text)
					}
				}
			case *dsl.ConstDecl:
				if !twice(f, d.Name) {
					p.consts[d.Name.Text] = &globalConst{decl: d, file: f}
				}
			case *dsl.FuncDecl:
				w.paramsTwice(f, d.Params)
				if !twice(f, d.Name) {
					p.funcs[d.Name.Text] = &function{decl: d, pkg: p, file: f}
					p.order = append(p.order, d.Name.Text)
				}
			case *dsl.LayerDecl:
				w.paramsTwice(f, d.Params)
				w.membersTwice(f, d.Members)
				if !twice(f, d.Name) {
					p.layers[d.Name.Text] = &layerDecl{decl: d, pkg: p, file: f}
					p.order = append(p.order, d.Name.Text)
				}
			case *dsl.Bad:
				for _, n := range d.Names {
					p.poisoned[n] = true
				}
			}
		}
	}
	return p
}

// paramsTwice reports parameters of one name.
func (w *world) paramsTwice(f *dsl.File, params []*dsl.Param) {
	seen := map[string]bool{}
	for _, p := range params {
		if p.Name == nil {
			continue
		}
		if seen[p.Name.Text] {
			w.diags = append(w.diags, dsl.Errorf(f.Name, p.Name, "the parameter `%s` is declared twice", p.Name.Text))
		}
		seen[p.Name.Text] = true
	}
}

// membersTwice does so for the funcs of a layer.
func (w *world) membersTwice(f *dsl.File, members []dsl.Member) {
	for _, m := range members {
		switch m := m.(type) {
		case *dsl.FuncDecl:
			w.paramsTwice(f, m.Params)
		case *dsl.IfMember:
			w.membersTwice(f, m.Then)
			w.membersTwice(f, m.Else)
		}
	}
}

// imported resolves one import of file f.
func (w *world) imported(p *pkg, f *dsl.File, im *dsl.Import) {
	name := im.Path.Value
	fail := func(format string, args ...any) *dsl.Diagnostic {
		d := dsl.Errorf(f.Name, im.Path, format, args...)
		w.diags = append(w.diags, d)
		p.lacking[f] = true
		return d
	}
	if slices.Contains(w.loading, name) {
		fail("the import of %q is circular", name)
		return
	}
	q := w.pkgs[name]
	if q == nil {
		w.loading = append(w.loading, name)
		files, msg := w.sources(name)
		if files == nil {
			d := fail("%s", msg)
			if !strings.HasPrefix(name, ".") {
				names := slices.DeleteFunc(dsl.StdNames(), func(s string) bool { return s == "prelude" })
				suggest(d, name, names, "the standard library has "+strings.Join(names, ", ")+`; a folder is imported as "./folder"`)
			}
			w.loading = w.loading[:len(w.loading)-1]
			return
		}
		q = w.load(files)
		w.loading = w.loading[:len(w.loading)-1]
		w.pkgs[name] = q
	}
	p.imports[f][path.Base(name)] = q
}

// sources finds and parses the files of an import.
func (w *world) sources(name string) ([]*dsl.File, string) {
	if strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../") {
		if w.opt.Import == nil {
			return nil, "the folder " + name + " cannot be read here"
		}
		files, ds, err := w.opt.Import(name)
		if err != nil {
			return nil, "cannot import " + name + ": " + err.Error()
		}
		w.diags = append(w.diags, ds...)
		return files, ""
	}
	if name == "prelude" {
		return nil, "prelude is in scope everywhere; it need not be imported"
	}
	src, ok := dsl.Std(name)
	if !ok {
		return nil, "there is no package `" + name + "`"
	}
	f, ds := dsl.Parse(name+"/"+name+".lm", src)
	w.diags = append(w.diags, ds...)
	return []*dsl.File{f}, ""
}
