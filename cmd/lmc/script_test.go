package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/cmd/internal/cli"
)

var update = flag.Bool("update", false, "rewrite scripts' wanted output, and the generated code in examples/consumer")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lmc": main})
}

// root is the root of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

// goEnv is a setting of the go command, which scripts need because they have
// another home.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// mayUpdate is whether wanted output is rewritten, which CI must not do.
func mayUpdate(t *testing.T) bool {
	t.Helper()
	if *update && os.Getenv("CI") != "" {
		t.Fatal("-update is not for CI")
	}
	return *update
}

// TestScripts runs the command line as users do. Scripts find the examples in
// $EXAMPLES.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       mayUpdate(t),
		RequireUniqueNames:  true,
		RequireExplicitExec: false,
		Setup: func(e *testscript.Env) error {
			e.Setenv("ROOT", root(t))
			e.Setenv("EXAMPLES", filepath.Join(root(t), "examples"))
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, ".cache"))
			for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
				e.Setenv(name, goEnv(t, name))
			}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "smalldisk" {
				return false, fmt.Errorf("there is no condition %s", cond)
			}
			return canMount(t), nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"truncate":  truncate,
			"smalldisk": smallDisk,
			"points":    points,
			"interrupt": interrupt,
		},
	})
}

// truncate FILE leaves the first half of a file.
func truncate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: truncate FILE")
	}
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	ts.Check(os.WriteFile(name, data[:len(data)/2], 0o666))
}

// canMount is whether this test may make a small disk.
func canMount(t *testing.T) bool {
	dir := t.TempDir()
	if exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "lmc", dir).Run() != nil {
		t.Log("skipped: the case of a full disk; mounting one is not allowed here")
		return false
	}
	return exec.Command("umount", dir).Run() == nil
}

// smallDisk DIR makes a folder with room for 64 kB. It needs rights that the
// condition [smalldisk] tests.
func smallDisk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: smalldisk DIR")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(dir, 0o777))
	ts.Check(exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "lmc", dir).Run())
	ts.Defer(func() { exec.Command("umount", dir).Run() })
}

// interrupt FILE ARGS… runs lmc with its output in FILE, and interrupts it as
// soon as it has made a step, however long that takes.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: interrupt FILE ARGS…")
	}
	lmc := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if name := filepath.Join(dir, "lmc"); lmc == "" && exec.Command(name, "version").Run() == nil {
			lmc = name
		}
	}
	cmd := exec.Command(lmc, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "GOCACHE", "GOMODCACHE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	var log strings.Builder
	sent := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&log, lines.Text())
		if !sent && strings.HasPrefix(lines.Text(), "step ") {
			sent = true
			ts.Check(cmd.Process.Signal(os.Interrupt))
		}
	}
	err = cmd.Wait()
	ts.Logf("%s", log.String())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(log.String()), 0o666))
}

// points FILE N writes a table of N points on a plane: y = 2a - 3b + 1.
func points(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: points FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b strings.Builder
	b.WriteString("a,b,y\n")
	for i := range n {
		x, y := float64(i*7%11)-5, float64(i*5%13)-6
		fmt.Fprintf(&b, "%g,%g,%g\n", x, y, 2*x-3*y+1)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o666))
}

// TestConsumer generates the code of the module in examples/consumer again,
// and runs its test.
func TestConsumer(t *testing.T) {
	dir := filepath.Join(root(t), "examples", "consumer")
	text := filepath.Join(dir, "xor.lm")
	var out, errs bytes.Buffer
	if mayUpdate(t) {
		require.Zero(t, cli.Main([]string{"build", "-q", text}, nil, &out, &errs), errs.String())
	}
	require.Zero(t, cli.Main([]string{"build", "-check", text}, nil, &out, &errs), "%s%s\ngo test ./cmd/lmc -update", out.String(), errs.String())
	for _, args := range [][]string{{"generate", "./..."}, {"vet", "./..."}, {"test", "./..."}} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOPROXY=off")
		got, err := cmd.CombinedOutput()
		require.NoError(t, err, "go %s: %s", strings.Join(args, " "), got)
	}
}

// TestNoPanic gives every command what it does not expect.
func TestNoPanic(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "binary.lm")
	require.NoError(t, os.WriteFile(binary, []byte("\x00\xff\xfepackage\x80 p\nmodel M { param w f32[\xf0] }"), 0o666))
	empty := filepath.Join(dir, "empty.lm")
	require.NoError(t, os.WriteFile(empty, nil, 0o666))
	for _, command := range []string{"build", "check", "vet", "fmt", "dump", "train", "ops", "init", "version", "help", "nonsense", ""} {
		for _, args := range [][]string{{}, {binary}, {empty}, {dir}, {"missing.lm"}, {"-nonsense"}, {"--"}, {"-"}, {"-set"}, {"a", "b", "c"}} {
			if command == "init" && len(args) > 0 && args[0] != dir {
				continue // it would write here
			}
			var out, errs bytes.Buffer
			code := cli.Main(append([]string{command}, args...), strings.NewReader("x"), &out, &errs)
			require.NotContains(t, errs.String(), "goroutine", "%s %q", command, args)
			require.NotContains(t, errs.String(), "bug in", "%s %q", command, args)
			if code != 0 {
				require.NotEmpty(t, errs.String(), "%s %q exits with %d in silence", command, args, code)
			}
		}
	}
}
