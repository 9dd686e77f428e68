package cli

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lmc-lang/lmc/cmd/internal/compile"
	"github.com/lmc-lang/lmc/cmd/internal/scratch"
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/runtime/drive"
)

// A trainRun is one run of lmc train.
type trainRun struct {
	*env
	*reporter
	opt     *compile.Options
	c       drive.Config
	trainer string
	lr      float64
	options pairs
	inputs  pairs
	drop    string
	fewer   []string // hyperparameters that became smaller by the data
}

func trainFlags(fs *flag.FlagSet) func(*env) error {
	t := &trainRun{opt: modelFlags(fs), reporter: reportFlags(fs), inputs: pairs{bare: true}}
	c := &t.c
	fs.StringVar(&c.Text, "text", "", "learn the letters of a text `file`")
	fs.StringVar(&c.CSV, "csv", "", "learn a table: a CSV `file`")
	fs.StringVar(&c.Target, "target", "", "the `column` of -csv to predict: a name, or a number from 1 on")
	fs.StringVar(&t.drop, "drop", "", "`columns` of -csv to leave out, separated by commas")
	fs.BoolVar(&c.Raw, "raw", false, "leave the columns of -csv as they are instead of scaling them to mean 0 and deviation 1")
	fs.Var(&t.inputs, "in", "an argument of the loss from a file: `x=x.npy`; or FILE.safetensors with tensors named like the arguments")
	fs.StringVar(&c.Images, "images", "", "pictures: an idx `file`, perhaps compressed")
	fs.StringVar(&c.Labels, "labels", "", "the labels of -images: an idx `file`")
	fs.IntVar(&c.Batch, "batch", 0, "examples in a step")
	fs.IntVar(&c.Length, "length", 0, "letters in a piece of -text")
	fs.IntVar(&c.Steps, "steps", 0, "steps to train")
	fs.IntVar(&c.Epochs, "epochs", 0, "passes over the data to train")
	fs.DurationVar(&c.Time, "time", 0, "how long to train: `60s`")
	fs.Uint64Var(&c.Seed, "seed", 1, "the `number` that determines all that is random")
	fs.Float64Var(&t.lr, "lr", 0, "the learning `rate`, if the train block has an option lr or peak")
	fs.Var(&t.options, "opt", "another option of the train block: `NAME=NUMBER`")
	fs.Float64Var(&c.Holdout, "holdout", 0.1, "`share` of the data to hold out for validation")
	fs.StringVar(&c.Out, "o", "weights.safetensors", "write the weights to this `file`")
	fs.BoolVar(&c.Resume, "resume", false, "go on from the checkpoint beside the weights")
	fs.StringVar(&c.Prompt, "prompt", "", "`text` to go on from at the end")
	fs.IntVar(&c.Sample, "sample", 400, "letters to write at the end")
	fs.StringVar(&t.trainer, "trainer", "", "the `name` of the train block, if the model has several")
	return func(e *env) error {
		t.env = e
		return t.run()
	}
}

func (t *trainRun) run() error {
	if err := t.config(); err != nil {
		return err
	}
	path, err := oneText(t.args, "train")
	if err != nil {
		return err
	}
	s, err := compile.Read(path)
	if err != nil {
		return err
	}
	var data *drive.Data
	sig := s.Signature(*t.opt, t.trainer)
	if sig != nil {
		if !t.c.HasData() {
			return t.noData(s, sig)
		}
		if data, err = drive.Load(&t.c); err != nil {
			return err
		}
		if err := t.hyper(sig, data); err != nil {
			return err
		}
	}
	m, err := s.Compile(*t.opt, compile.Trace{})
	if err != nil && data != nil && data.IsText() && len(t.fewer) > 0 {
		// Something in the model needs more letters than the text has: it keeps its own number.
		for _, name := range t.fewer {
			delete(t.opt.Set, name)
		}
		if own, err2 := s.Compile(*t.opt, compile.Trace{}); err2 == nil {
			m, err = own, nil
		}
	}
	if err != nil {
		return t.fail(t.env, s, err)
	}
	t.print(t.env, s, m.Diags)
	api := m.Program.API
	i, err := t.block(api)
	if err != nil {
		return err
	}
	if err := t.rate(api.Trainers[i]); err != nil {
		return err
	}
	p := m.Trainee(i)
	if data == nil {
		if !t.c.HasData() {
			return usagef("%s", drive.Advice(p.Loss))
		}
		if data, err = drive.Load(&t.c); err != nil {
			return err
		}
	}
	if err := drive.Check(data, p, &t.c); err != nil {
		return err
	}
	files, err := m.Files(compile.Output{ImportPath: scratch.ModelPath})
	if err != nil {
		return t.fail(t.env, s, err)
	}
	main, err := scratch.Main(api, api.Trainers[i], p)
	if err != nil {
		return err
	}
	if files, err = scratch.Files(files, main); err != nil {
		return err
	}
	start := time.Now()
	compiled := false
	program, err := scratch.Build(files, func() {
		compiled = true
		fmt.Fprintf(t.out, "compiling %s …", api.Model)
	})
	if compiled {
		fmt.Fprintf(t.out, " %.1f s\n", time.Since(start).Seconds())
	}
	if err != nil {
		return err
	}
	return t.train(program)
}

// config checks the flags and completes the configuration.
func (t *trainRun) config() error {
	if err := t.reporter.check(); err != nil {
		return err
	}
	c := &t.c
	for _, f := range []struct {
		name string
		n    int
	}{{"batch", c.Batch}, {"length", c.Length}, {"steps", c.Steps}, {"epochs", c.Epochs}} {
		if f.n < 0 {
			return usagef("-%s cannot be negative", f.name)
		}
	}
	if c.Steps > 0 && c.Epochs > 0 {
		return usagef("give -steps or -epochs, not both")
	}
	if c.Time < 0 {
		return usagef("-time cannot be negative")
	}
	if !(c.Holdout >= 0 && c.Holdout < 1) {
		return usagef("-holdout is a share from 0 up to, not including, 1")
	}
	if c.CSV == "" && (c.Target != "" || t.drop != "") {
		return usagef("-target and -drop belong to -csv")
	}
	for _, in := range t.inputs.list {
		c.Inputs = append(c.Inputs, drive.Input{Name: in[0], Path: in[1]})
	}
	for name := range strings.SplitSeq(t.drop, ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.Drop = append(c.Drop, name)
		}
	}
	c.Options = map[string]float64{}
	for _, o := range t.options.list {
		x, err := strconv.ParseFloat(o[1], 64)
		if err != nil {
			return usagef("-opt %s=%s: want a number", o[0], o[1])
		}
		c.Options[o[0]] = x
	}
	base := strings.TrimSuffix(c.Out, ".safetensors")
	c.Checkpoint, c.Curve = base+".checkpoint.safetensors", base+".loss.svg"
	c.Terminal = isTerminal(t.out.Writer)
	return nil
}

// noData says which flags give the loss its data.
func (t *trainRun) noData(s *compile.Source, sig *compile.Signature) error {
	var args []string
	for _, a := range sig.Loss.Args {
		args = append(args, a.String())
	}
	return usagef("train needs data: %s of %s takes %s\n%s", sig.Loss.Name, s.Path, strings.Join(args, ", "), drive.Advice(sig.Loss))
}

// hyper gives hyperparameters of the model the values that the data has:
// letters, classes, columns. Those set by flags stay.
func (t *trainRun) hyper(sig *compile.Signature, data *drive.Data) error {
	b, err := drive.Bind(data, sig.Loss, sig.Entries)
	if err != nil {
		return err
	}
	if n, ok := sig.Hyper[b.Batch.Name]; ok && !data.IsText() {
		// The model has a fixed number of rows. It keeps its own if there are enough.
		switch {
		case t.c.Batch > 0:
			n = t.c.Batch
		case n == 0 || n > data.Rows:
			n = data.Rows
		}
		b.Known[b.Batch.Name] = n
	}
	for name, n := range b.Known {
		if have, ok := sig.Hyper[name]; ok && have != n {
			t.opt.Set[name] = strconv.Itoa(n)
			if n < have {
				t.fewer = append(t.fewer, name)
			}
		}
	}
	return nil
}

// block finds the train block.
func (t *trainRun) block(api *loop.API) (int, error) {
	if len(api.Trainers) == 0 {
		return 0, usagef("%s has no train block", api.Model)
	}
	if t.trainer == "" {
		return 0, nil
	}
	var names []string
	for i, x := range api.Trainers {
		if x.Name == t.trainer {
			return i, nil
		}
		names = append(names, x.Name)
	}
	return 0, usagef("%s has no train block %s; it has %s", api.Model, t.trainer, strings.Join(names, ", "))
}

// rate checks the options, and makes one of -lr.
func (t *trainRun) rate(x *loop.Trainer) error {
	var names []string
	find := func(name string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	for _, o := range x.Options {
		names = append(names, o.Name)
	}
	if t.lr < 0 {
		return usagef("-lr cannot be negative")
	}
	list := "it has no options"
	if len(names) > 0 {
		list = "it has " + strings.Join(names, ", ")
	}
	if t.lr > 0 {
		switch {
		case find("lr"):
			t.c.Options["lr"] = t.lr
		case find("peak"):
			t.c.Options["peak"] = t.lr
		default:
			return usagef("-lr: the train block %s has no option lr; %s", x.Name, list)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(t.c.Options)) {
		if !find(n) {
			var lower []string
			for _, o := range names {
				lower = append(lower, strings.ToLower(o))
			}
			if s := dsl.Suggest(strings.ToLower(n), lower); s != "" {
				list = fmt.Sprintf("did you mean %s?", s)
			}
			return usagef("-opt: the train block %s has no option %s; %s", x.Name, n, list)
		}
	}
	return nil
}

// train runs the compiled program.
func (t *trainRun) train(program string) error {
	config, err := json.Marshal(t.c)
	if err != nil {
		return fmt.Errorf("bug in lmc train: %w", err)
	}
	dir, err := os.MkdirTemp("", "lmc-train-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	code, err := scratch.Run(program, file, t.out.Writer, t.err, signals)
	if err != nil {
		return err
	}
	if code != 0 {
		return &childError{code}
	}
	return nil
}

// A childError is the exit code of a program that has said why.
type childError struct{ code int }

func (e *childError) Error() string { return fmt.Sprintf("exit code %d", e.code) }
