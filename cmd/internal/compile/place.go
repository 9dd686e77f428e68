package compile

import (
	"errors"
	"fmt"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Place is where the output of a model goes.
type Place struct {
	Dir     string
	Package string
}

// Where decides the folder and the Go package of the output. Flags win; else
// the package is the text's, beside the text if that folder's Go package is the
// same or there is none, else in a subfolder named after it.
func (s *Source) Where(dir, pkg string) (Place, error) {
	if pkg == "" && s.File.Package != nil {
		pkg = s.File.Package.Text
	}
	if !token.IsIdentifier(pkg) || pkg == "_" {
		return Place{}, fmt.Errorf("%q cannot be the name of a Go package; choose another with -pkg", pkg)
	}
	if dir != "" {
		return Place{dir, pkg}, nil
	}
	beside := filepath.Dir(filepath.FromSlash(s.Path))
	have, err := goPackage(beside)
	if err != nil {
		return Place{}, err
	}
	if have == "" || have == pkg {
		return Place{beside, pkg}, nil
	}
	return Place{filepath.Join(beside, pkg), pkg}, nil
}

// goPackage is the name of the Go package in a folder, or "". Under go generate
// it is the one that the command stands in.
func goPackage(dir string) (string, error) {
	if name := os.Getenv("GOPACKAGE"); name != "" {
		if _, err := os.Stat(filepath.Join(dir, os.Getenv("GOFILE"))); err == nil {
			return strings.TrimSuffix(name, "_test"), nil
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") && !strings.HasPrefix(n, ".") && !strings.HasPrefix(n, "_") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	ctx := build.Default
	for _, n := range names {
		if ok, err := ctx.MatchFile(dir, n); err == nil && !ok {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, n), nil, parser.PackageClauseOnly)
		if err == nil {
			return f.Name.Name, nil
		}
	}
	return "", nil
}

// ImportPath is the import path that a folder has, or would have if it existed,
// in the Go module around it.
func ImportPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for root := abs; ; root = filepath.Dir(root) {
		data, err := os.ReadFile(filepath.Join(root, "go.mod"))
		if err == nil {
			module := modulePath(string(data))
			if module == "" {
				return "", fmt.Errorf("%s has no module line", filepath.Join(root, "go.mod"))
			}
			rel, err := filepath.Rel(root, abs)
			if err != nil {
				return "", err
			}
			if rel == "." {
				return module, nil
			}
			return module + "/" + filepath.ToSlash(rel), nil
		}
		if filepath.Dir(root) == root {
			return "", errors.New("the output needs an import path, but there is no go.mod around " + filepath.ToSlash(dir) + "; make one with `go mod init`")
		}
	}
}

// modulePath is the path in the module line of a go.mod file.
func modulePath(text string) string {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		if f := strings.Fields(line); len(f) == 2 && f[0] == "module" {
			return strings.Trim(f[1], "\"`")
		}
	}
	return ""
}
