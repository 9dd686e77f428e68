package cli

import (
	"embed"
	"errors"
	"flag"
	"fmt"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/lmc-lang/lmc/codegen"
	lmcruntime "github.com/lmc-lang/lmc/runtime"
)

// scaffold has the files that init writes; NAME and Name stand for the package
// and the model.
//
//go:embed scaffold
var scaffold embed.FS

func initFlags(*flag.FlagSet) func(*env) error {
	return func(e *env) error {
		if len(e.args) == 0 || len(e.args) > 2 {
			return usagef("init needs the name of a package, and perhaps a folder: lmc init digits")
		}
		name := e.args[0]
		if !token.IsIdentifier(name) || name != strings.ToLower(name) || name == "_" {
			return usagef("%q cannot be the name of a package: use small letters and digits", name)
		}
		dir := name
		if len(e.args) == 2 {
			dir = e.args[1]
		}
		return e.scaffold(name, dir)
	}
}

// scaffold writes the files of a new package, or nothing.
func (e *env) scaffold(name, dir string) error {
	replace := strings.NewReplacer("NAME", name, "Name", string(unicode.ToUpper(rune(name[0])))+name[1:], "MODULE", codegen.Module)
	entries, err := fs.ReadDir(scaffold, "scaffold")
	if err != nil {
		return err
	}
	for _, f := range entries {
		path := filepath.Join(dir, target(f.Name()))
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s exists already; nothing was written", filepath.ToSlash(path))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var written []string
	for _, f := range entries {
		text, err := scaffold.ReadFile("scaffold/" + f.Name())
		if err != nil {
			return err
		}
		path := filepath.Join(dir, target(f.Name()))
		err = lmcruntime.WriteFileAtomic(path, func(w io.Writer) error {
			_, err := replace.WriteString(w, string(text))
			return err
		})
		if err != nil {
			for _, p := range written {
				os.Remove(p)
			}
			return fmt.Errorf("nothing was written: %w", err)
		}
		written = append(written, path)
	}
	for _, p := range written {
		fmt.Fprintln(e.out, filepath.ToSlash(p))
	}
	return nil
}

// target is the name under which a file of the scaffold is written. The Go
// files end in .txt there, so that they are not compiled with this package.
func target(name string) string { return strings.TrimSuffix(name, ".txt") }
