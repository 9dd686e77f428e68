// Package compile is the pipeline of lmc as the commands use it: it reads a
// model text and what it imports, runs every stage, and says where the output
// belongs.
package compile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
)

// A Source is a root text that has been read and parsed, and the texts that it
// imports as the checker asks for them.
type Source struct {
	Path string // as the user wrote it, with slashes
	File *dsl.File
	// Diags are the parser's messages about the root text.
	Diags dsl.Diagnostics

	texts map[string][]byte // by the name that messages use
}

// Read reads the text at path; "-" is not special.
func Read(path string) (*Source, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, readError(path, err)
	}
	s := &Source{Path: filepath.ToSlash(path), texts: map[string][]byte{}}
	s.texts[s.Path] = src
	s.File, s.Diags = dsl.Parse(s.Path, src)
	return s, nil
}

// readError says which file cannot be read and, if that helps, what is there.
func readError(path string, err error) error {
	why := err
	var p *fs.PathError
	if errors.As(err, &p) {
		why = p.Err
	}
	name := filepath.ToSlash(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read %s: %w", name, why)
	}
	near, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.lm"))
	for i := range near {
		near[i] = filepath.Base(near[i])
	}
	if s := dsl.Suggest(filepath.Base(path), near); s != "" {
		return fmt.Errorf("cannot read %s: %w; did you mean %s?", name, why, filepath.ToSlash(filepath.Join(filepath.Dir(path), s)))
	}
	return fmt.Errorf("cannot read %s: %w", name, why)
}

// Text is the source of a file that messages name, or nil.
func (s *Source) Text(name string) []byte {
	if src, ok := s.texts[name]; ok {
		return src
	}
	if base, ok := strings.CutSuffix(name, ".lm"); ok { // of the library: nn/nn.lm
		if dir, file, ok := strings.Cut(base, "/"); ok && dir == file {
			src, _ := dsl.Std(file)
			return src
		}
	}
	return nil
}

// folder parses the files of a local import, relative to the root text.
func (s *Source) folder(path string) ([]*dsl.File, dsl.Diagnostics, error) {
	dir := filepath.Join(filepath.Dir(filepath.FromSlash(s.Path)), filepath.FromSlash(path))
	names, err := filepath.Glob(filepath.Join(globQuote(dir), "*.lm"))
	if err != nil || len(names) == 0 {
		if _, err := os.Stat(dir); err != nil {
			return nil, nil, errors.New("there is no folder " + filepath.ToSlash(dir))
		}
		return nil, nil, errors.New("there are no .lm files in " + filepath.ToSlash(dir))
	}
	slices.Sort(names)
	var files []*dsl.File
	var diags dsl.Diagnostics
	for _, n := range names {
		src, err := os.ReadFile(n)
		if err != nil {
			return nil, nil, err
		}
		name := filepath.ToSlash(n)
		s.texts[name] = src
		f, ds := dsl.Parse(name, src)
		files, diags = append(files, f), append(diags, ds...)
	}
	return files, diags, nil
}

// globQuote escapes what filepath.Glob takes for a pattern.
func globQuote(s string) string {
	if os.PathSeparator == '\\' {
		return s // escapes do not work there
	}
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(s)
}

// Options say which model to build and how.
type Options struct {
	Model   string            // "" is the first
	Set     map[string]string // other values of dims and options
	Dims    []Dim
	Float64 bool
	Vet     bool // warnings are errors
}

// A Dim fixes (Rel "=") or bounds (Rel "<=") a dim of the arguments.
type Dim = check.DimOption

// checkOptions are the options as the checker wants them.
func (s *Source) checkOptions(o Options) check.Options {
	return check.Options{Model: o.Model, Set: o.Set, Dims: o.Dims, Float64: o.Float64, Vet: o.Vet, Import: s.folder}
}

// CheckAll checks everything in the text, for all models.
func (s *Source) CheckAll(o Options) dsl.Diagnostics {
	var ds dsl.Diagnostics
	if s.File.Package != nil || !s.Diags.HasErrors() {
		if o.Model != "" {
			_, ds = check.Check([]*dsl.File{s.File}, s.checkOptions(o))
		} else {
			_, ds = check.All([]*dsl.File{s.File}, s.checkOptions(o))
		}
	}
	return s.merge(ds)
}

// merge joins the parser's messages with others.
func (s *Source) merge(ds dsl.Diagnostics) dsl.Diagnostics {
	all := slices.Concat(s.Diags, ds)
	all.Sort()
	return all
}

// Models are the names of the models of the text, in order.
func (s *Source) Models() []string {
	var out []string
	for _, d := range s.File.Decls {
		if l, ok := d.(*dsl.LayerDecl); ok && l.Kind == dsl.KindModel {
			out = append(out, l.Name.Text)
		}
	}
	return out
}
