package codegen

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	stdio "io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
)

// Check type-checks generated files in memory, as they are built for machines
// with native kernels and for others, so that nothing that does not compile
// reaches the disk. importPath is that of the package, or "". Where the sources
// of the standard library are not to be found only the syntax is checked. An
// error is a bug of lmc.
func Check(files []File, importPath string) error {
	std.mu.Lock()
	defer std.mu.Unlock()
	parsed := map[string]*ast.File{}
	for _, f := range files {
		if filepath.Ext(f.Name) != ".go" || strings.Contains(f.Name, "/") {
			continue // the runtime: compiled with this very program
		}
		file, err := parser.ParseFile(std.fset, f.Name, f.Data, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("bug in codegen: %w", err)
		}
		parsed[f.Name] = file
	}
	if std.goroot() == "" {
		return nil
	}
	if importPath == "" {
		importPath = "generated"
	}
	var before []*ast.File
	for _, arch := range []string{"amd64", "arm64"} {
		var built []*ast.File
		for _, f := range files {
			if file := parsed[f.Name]; file != nil && builtFor(arch, f) {
				built = append(built, file)
			}
		}
		if slices.Equal(built, before) {
			continue
		}
		if err := checkBuild(built, importPath); err != nil {
			return fmt.Errorf("%w (for %s)", err, arch)
		}
		before = built
	}
	return nil
}

// builtFor reports whether name and build constraints include a file in a build
// for a processor.
func builtFor(arch string, f File) bool {
	ctx := build.Default
	ctx.GOARCH, ctx.BuildTags = arch, nil
	ctx.OpenFile = func(string) (stdio.ReadCloser, error) { return stdio.NopCloser(bytes.NewReader(f.Data)), nil }
	ok, err := ctx.MatchFile("", filepath.Base(f.Name))
	return ok && err == nil
}

// checkBuild type-checks the files of one build, and those of its tests.
func checkBuild(files []*ast.File, importPath string) error {
	byKind := map[string][]*ast.File{}
	for _, f := range files {
		kind := "package"
		switch {
		case strings.HasSuffix(f.Name.Name, "_test"):
			kind = "external test"
		case strings.HasSuffix(std.fset.File(f.Package).Name(), "_test.go"):
			kind = "test"
		}
		byKind[kind] = append(byKind[kind], f)
	}
	check := func(name string, files []*ast.File, im types.Importer) (*types.Package, error) {
		var errs []error
		conf := types.Config{Importer: im, GoVersion: LanguageVersion, Error: func(err error) { errs = append(errs, err) }}
		p, _ := conf.Check(name, std.fset, files, nil)
		if len(errs) > 0 {
			return nil, fmt.Errorf("bug in codegen: the output does not compile: %w", errors.Join(errs[:min(len(errs), 5)]...))
		}
		return p, nil
	}
	im := &importing{std: std, own: map[string]*types.Package{}, runtime: importPath + "/runtime"}
	p, err := check(importPath, byKind["package"], im)
	if err != nil {
		return err
	}
	im.own[importPath] = p
	if fs := byKind["test"]; len(fs) > 0 {
		if _, err := check(importPath, append(fs, byKind["package"]...), im); err != nil {
			return err
		}
	}
	if fs := byKind["external test"]; len(fs) > 0 {
		if _, err := check(importPath+"_test", fs, im); err != nil {
			return err
		}
	}
	return nil
}

// LanguageVersion is the Go language that generated packages need.
const LanguageVersion = "go1.24"

// importing finds the packages that generated code imports.
type importing struct {
	std     *sources
	own     map[string]*types.Package
	runtime string // import path of a copy of the runtime
}

func (im *importing) Import(name string) (*types.Package, error) {
	if p := im.own[name]; p != nil {
		return p, nil
	}
	if name == im.runtime {
		name = imports["runtime"]
	}
	return im.std.load(name)
}

// sources type-checks packages of the standard library and the runtime from
// source, declarations only, each once in a process.
type sources struct {
	mu    sync.Mutex
	fset  *token.FileSet
	pkgs  map[string]*types.Package
	found bool
	root  string
	ctx   build.Context
}

var std = &sources{fset: token.NewFileSet(), pkgs: map[string]*types.Package{"unsafe": types.Unsafe}}

// goroot is the folder of the Go installation, or "".
func (s *sources) goroot() string {
	if s.found {
		return s.root
	}
	s.found = true
	//lint:ignore SA1019 it is one guess of three
	for _, guess := range []func() string{
		func() string { return os.Getenv("GOROOT") },
		goruntime.GOROOT,
		func() string {
			out, _ := exec.Command("go", "env", "GOROOT").Output()
			return strings.TrimSpace(string(out))
		},
	} {
		root := guess()
		if root == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, "src", "fmt")); err == nil {
			s.root = root
			break
		}
	}
	s.ctx = build.Default
	s.ctx.GOROOT, s.ctx.CgoEnabled = s.root, false
	return s.root
}

func (s *sources) Import(name string) (*types.Package, error) { return s.load(name) }

func (s *sources) load(name string) (*types.Package, error) {
	if p, ok := s.pkgs[name]; ok {
		if p == nil {
			return nil, fmt.Errorf("import cycle through %s", name)
		}
		return p, nil
	}
	s.pkgs[name] = nil
	files, err := s.parse(name)
	if err != nil {
		return nil, err
	}
	conf := types.Config{Importer: s, IgnoreFuncBodies: true, FakeImportC: true, Sizes: types.SizesFor("gc", goruntime.GOARCH), Error: func(error) {}}
	p, err := conf.Check(name, s.fset, files, nil)
	if p == nil {
		return nil, err
	}
	p.MarkComplete()
	s.pkgs[name] = p
	return p, nil
}

// parse reads the files of a package.
func (s *sources) parse(name string) ([]*ast.File, error) {
	var out []*ast.File
	add := func(file string, src any) error {
		f, err := parser.ParseFile(s.fset, file, src, parser.SkipObjectResolution)
		out = append(out, f)
		return err
	}
	if name == imports["runtime"] {
		for _, f := range standalone("") {
			if filepath.Ext(f.Name) != ".go" || !builtFor(s.ctx.GOARCH, f) {
				continue
			}
			if err := add(f.Name, f.Data); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	dir := filepath.Join(s.root, "src", filepath.FromSlash(name))
	if _, err := os.Stat(dir); err != nil {
		dir = filepath.Join(s.root, "src", "vendor", filepath.FromSlash(name))
	}
	p, err := s.ctx.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	for _, f := range p.GoFiles {
		if err := add(filepath.Join(dir, f), nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}
