// Package scratch compiles a program that trains a model: the generated
// package, the runtime, package drive, and a few lines that join them, as a Go
// module of their own that imports nothing else. Programs are kept in the
// user's cache by the hash of their sources, so that a second run starts at
// once.
package scratch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/lmc-lang/lmc"
	"github.com/lmc-lang/lmc/codegen"
)

// The scratch module stands in for this one: it has the same path, and the two
// packages of it that the program needs.
const goMod = "module " + codegen.Module + "\n\ngo 1.24\n"

// ModelPath is the import path of the generated package in the scratch module.
const ModelPath = codegen.Module + "/model"

// Files are the sources of a program: those of the model, not standalone, and
// the text of its main function.
func Files(model []codegen.File, main []byte) ([]codegen.File, error) {
	files := []codegen.File{{Name: "go.mod", Data: []byte(goMod)}, {Name: "main.go", Data: main}}
	for _, f := range model {
		files = append(files, codegen.File{Name: "model/" + f.Name, Data: f.Data})
	}
	for _, src := range []struct {
		fsys fs.FS
		dir  string
	}{{lmc.Runtime, "runtime"}, {lmc.Drive, "runtime/drive"}} {
		entries, err := fs.ReadDir(src.fsys, src.dir)
		if err != nil {
			return nil, fmt.Errorf("bug in lmc: %w", err)
		}
		for _, e := range entries {
			name := src.dir + "/" + e.Name()
			if e.IsDir() || strings.HasSuffix(name, "_test.go") {
				continue
			}
			data, err := fs.ReadFile(src.fsys, name)
			if err != nil {
				return nil, fmt.Errorf("bug in lmc: %w", err)
			}
			files = append(files, codegen.File{Name: name, Data: data})
		}
	}
	slices.SortFunc(files, func(a, b codegen.File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// program is the name of the executable.
func program() string {
	if runtime.GOOS == "windows" {
		return "train.exe"
	}
	return "train"
}

// Build compiles files and returns the path of the program. compiling is called
// if that is necessary.
func Build(files []codegen.File, compiling func()) (path string, err error) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("lmc train needs the go command to compile the model, but it is not in PATH")
	}
	root, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, hash(files))
	path = filepath.Join(dir, program())
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	compiling()
	tmp, err := os.MkdirTemp(root, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	for _, f := range files {
		name := filepath.Join(tmp, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return "", err
		}
		if err := os.WriteFile(name, f.Data, 0o666); err != nil {
			return "", err
		}
	}
	if err := goBuild(goCommand, tmp); err != nil {
		return "", err
	}
	prune(root)
	if err := os.Rename(tmp, dir); err != nil {
		if _, e := os.Stat(path); e == nil {
			return path, nil // another run was faster
		}
		return "", err
	}
	return path, nil
}

// goBuild runs the go command, which needs no network for this module.
func goBuild(goCommand, dir string) error {
	cmd := exec.Command(goCommand, "build", "-trimpath", "-o", program(), ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GO111MODULE=on", "GOTOOLCHAIN=local", "CGO_ENABLED=0", "GOPROXY=off", "GOOS=", "GOARCH=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(out.String())
		if strings.Contains(text, "no space left") || strings.Contains(text, "permission denied") {
			return fmt.Errorf("cannot compile the model: %s", text)
		}
		return fmt.Errorf("bug in codegen: the package does not compile: %w\n%s", err, text)
	}
	return nil
}

// cacheDir is the folder of compiled programs.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	dir := filepath.Join(base, "lmc", "train")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		dir = filepath.Join(os.TempDir(), "lmc-train")
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// keep is the number of programs that stay in the cache.
const keep = 16

// prune removes all but the newest programs, and what interrupted runs left.
func prune(root string) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return
	}
	type entry struct {
		name string
		at   int64
	}
	var all []entry
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil:
		case !strings.HasPrefix(e.Name(), "new-"):
			all = append(all, entry{e.Name(), info.ModTime().UnixNano()})
		case time.Since(info.ModTime()) > time.Hour:
			os.RemoveAll(filepath.Join(root, e.Name()))
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return int(min(1, max(-1, b.at-a.at))) })
	for _, e := range all[min(len(all), keep-1):] {
		os.RemoveAll(filepath.Join(root, e.name))
	}
}

// hash names the sources, the compiler and the machine.
func hash(files []codegen.File) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, os.Getenv("GOAMD64"))
	for _, f := range files {
		fmt.Fprintf(h, "%s %d\n", f.Name, len(f.Data))
		h.Write(f.Data)
	}
	return hex.EncodeToString(h.Sum(nil))[:20]
}

// Run runs a program with a configuration file and passes signals on to it. It
// returns the exit code.
func Run(path, config string, out, errOut io.Writer, signals <-chan os.Signal) (code int, err error) {
	cmd := exec.Command(path, config)
	cmd.Stdout, cmd.Stderr = out, errOut
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				cmd.Process.Signal(s)
			case <-done:
				return
			}
		}
	}()
	err = cmd.Wait()
	close(done)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if code := exit.ExitCode(); code >= 0 {
			return code, nil
		}
		if strings.Contains(exit.Error(), "broken pipe") {
			return 1, nil // nobody reads the output any more
		}
		return 0, fmt.Errorf("training ended: %w", err)
	}
	return 0, err
}
