package drive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lmc-lang/lmc/runtime"
)

// A session is one run of training.
type session struct {
	p     Program
	c     Config
	d     *Data
	b     *Binding
	src   source
	r     *Run
	out   io.Writer
	bar   *progress
	curve curve

	total    int64 // steps, 0 for no limit
	stop     chan os.Signal
	stopped  bool
	lossFunc *Func // loss in eval mode, or nil
	scores   *Func // scores of classes or letters, or nil
	labels   int   // argument with the labels, or -1
}

// newSession reads the data and makes the model; nothing has been trained.
func newSession(p Program, c Config, out io.Writer) (*session, error) {
	s := &session{p: p, c: c, out: out, labels: -1}
	var err error
	if s.d, err = Load(&c); err != nil {
		return nil, err
	}
	if s.b, err = Bind(s.d, p.Loss, p.Entries); err != nil {
		return nil, err
	}
	if s.src, err = newSource(s.d, s.b, &p, &c); err != nil {
		return nil, err
	}
	s.functions()
	s.steps()
	if s.r, err = p.New(c.Seed, s.c.Options); err != nil {
		return nil, err
	}
	return s, s.resume()
}

// newSource makes the source of batches of the data.
func newSource(d *Data, b *Binding, p *Program, c *Config) (source, error) {
	if d.IsText() {
		return newText(d, b, p, c)
	}
	return newRows(d, b, c)
}

// Check finds out whether p can be trained as c says, without doing it.
func Check(d *Data, p Program, c *Config) error {
	b, err := Bind(d, p.Loss, p.Entries)
	if err != nil {
		return err
	}
	_, err = newSource(d, b, &p, c)
	return err
}

// functions finds what validates the model and shows what it has learned.
func (s *session) functions() {
	for i := range s.p.Entries {
		if f := &s.p.Entries[i]; f.Name == s.p.Loss.Name && len(f.Args) == len(s.p.Loss.Args) {
			s.lossFunc = f
		}
	}
	var inputs []int
	for i, a := range s.p.Loss.Args {
		if !s.d.IsText() && len(s.p.Loss.Args) > 1 && len(a.Dims) == 1 && i == targetOf(s.p.Loss) {
			s.labels = i
			continue
		}
		if !s.d.IsText() || i == s.b.Input {
			inputs = append(inputs, i)
		}
	}
	if len(inputs) == 0 {
		return
	}
	rank := 2
	if s.d.IsText() {
		rank = len(s.p.Loss.Args[s.b.Input].Dims) + 1
	}
	isClass := s.labels >= 0 && s.p.Loss.Args[s.labels].Elem == "i32"
	switch {
	case s.d.IsText() || isClass:
		s.scores = scorer(s.p.Loss, s.p.Entries, inputs, rank, "f32")
		if s.scores == nil && isClass {
			s.scores = scorer(s.p.Loss, s.p.Entries, inputs, 1, "i32")
		}
	case s.labels >= 0:
		s.scores = scorer(s.p.Loss, s.p.Entries, inputs, 1, "f32")
	}
}

func targetOf(loss Func) int {
	if len(loss.Args) == 2 {
		return targetArg(loss)
	}
	for i, a := range loss.Args {
		if isTarget(a.Name) {
			return i
		}
	}
	return -1
}

// Defaults of the number of steps.
const (
	textSteps = 600
	minSteps  = 1000
	maxSteps  = 2000
)

// steps decides how long to train. A schedule with a field total gets to know.
func (s *session) steps() {
	total := ""
	for _, o := range s.p.options() {
		if strings.EqualFold(o, "total") {
			total = o
		}
	}
	given := true
	switch {
	case s.c.Steps > 0:
		s.total = int64(s.c.Steps)
	case s.c.Epochs > 0:
		s.total = int64(s.c.Epochs) * s.src.perEpoch()
	case s.c.Time > 0:
		given = false
	case total != "":
		s.total, given = int64(s.p.Options[total]), false
	case s.d.IsText():
		s.total = textSteps
	default:
		s.total = min(max(minSteps, 10*s.src.perEpoch()), maxSteps)
	}
	if total == "" || !given {
		return
	}
	for o := range s.c.Options {
		if strings.EqualFold(o, "total") {
			return
		}
	}
	if s.c.Options == nil {
		s.c.Options = map[string]float64{}
	}
	s.c.Options[total] = float64(s.total)
}

// options are the names of the options, sorted.
func (p *Program) options() []string {
	var out []string
	for n := range p.Options {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// meta is what a file of weights says besides the weights, so that the file
// alone can be used.
func (s *session) meta() map[string]string {
	m := map[string]string{}
	put := func(key string, v any) {
		if text, err := json.Marshal(v); err == nil {
			m[key] = string(text)
		}
	}
	if s.d.IsText() {
		letters := make([]string, len(s.d.Vocab))
		for i, r := range s.d.Vocab {
			letters[i] = string(r)
		}
		put("vocabulary", letters)
	}
	for _, c := range s.b.Columns {
		if c.Classes != nil {
			put("classes", c.Classes)
		}
		if c.Role == target {
			m["target"] = c.Name
		}
		if c.Names != nil {
			put("features", c.Names)
		}
		if c.Mean != nil {
			put("mean", c.Mean)
			put("std", c.Std)
		}
	}
	return m
}

// resume continues from the checkpoint if that is wanted.
func (s *session) resume() error {
	meta := s.meta()
	if s.c.Resume {
		err := s.r.Trainer.LoadFile(s.c.Checkpoint)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("-resume: there is no checkpoint %s", s.c.Checkpoint)
		}
		if err != nil {
			return fmt.Errorf("-resume: %s: %w", s.c.Checkpoint, err)
		}
		for key, text := range meta {
			if have := (*s.r.Meta)[key]; have != text && (key == "vocabulary" || key == "classes" || key == "features") {
				return fmt.Errorf("-resume: %s was trained on data with another %s", s.c.Checkpoint, key)
			}
		}
	}
	*s.r.Meta = meta
	return nil
}

// run trains, saves, and shows.
func (s *session) run() error {
	for _, path := range []string{s.c.Out, s.c.Checkpoint, s.c.Curve} {
		if err := writable(path); err != nil {
			return err
		}
	}
	about := s.src.describe()
	fmt.Fprintf(s.out, "model  %s, %s parameters, %s kernels\n", s.p.Model, count(s.p.Params), s.p.Kernels)
	fmt.Fprintf(s.out, "data   %s\n", about[0])
	goal := fmt.Sprintf("%s steps", count(int(s.total)))
	if s.total == 0 {
		goal = s.c.Time.String()
	}
	fmt.Fprintf(s.out, "train  %s, %s, seed %d\n\n", goal, about[1], s.c.Seed)
	s.stop = make(chan os.Signal, 2)
	signal.Notify(s.stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(s.stop)
	start := time.Now()
	first := s.r.Trainer.Steps()
	err := s.loop()
	took := time.Since(start)
	s.bar.end()
	done := s.r.Trainer.Steps() - first
	if err != nil {
		return err
	}
	if done > 0 {
		fmt.Fprintf(s.out, "\n%s steps in %s", count(int(done)), round(took))
		if s.stopped {
			fmt.Fprint(s.out, ", stopped; -resume goes on")
		}
		fmt.Fprintln(s.out)
	} else {
		fmt.Fprintf(s.out, "%s steps are done already; -steps makes it more\n", count(int(first)))
	}
	if err := s.save(); err != nil {
		return err
	}
	s.show()
	return nil
}

// writable checks before hours of training that a result can be written.
func writable(path string) error {
	if path == "" {
		return nil
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return fmt.Errorf("%s is a folder", path)
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.CreateTemp(dir, ".lmc-*")
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return fmt.Errorf("cannot write to %s: %w", dir, err)
	}
	f.Close()
	return os.Remove(f.Name())
}

// checkpointEvery is how often the state is saved while training.
const checkpointEvery = 20 * time.Second

// loop does the steps.
func (s *session) loop() error {
	start := time.Now()
	first := s.r.Trainer.Steps()
	s.bar = newProgress(s.out, s.c.Terminal, first, s.total, s.c.Time)
	saved, tried := start, first
	every := max(1, (s.total-first)/10)
	held := s.src.held()
	var signalled time.Time
	for k := first; s.total == 0 || k < s.total; k++ {
		select {
		case <-s.stop:
			// A terminal and lmc may both pass the same key on.
			signalled = time.Now()
			s.stopped = true
			go s.quit(signalled)
			return nil
		default:
		}
		if s.c.Time > 0 && time.Since(start) >= s.c.Time {
			return nil
		}
		if s.p.Carries && s.r.Reset != nil && k%s.src.perEpoch() == 0 {
			s.r.Reset()
		}
		loss, err := step(s.r.Step, s.src.batch(k))
		if err != nil {
			return s.explain(err, k, first)
		}
		tried = k + 1
		s.curve.add(tried, loss)
		s.bar.step(tried, loss)
		s.r.Trainer.SetPosition(tried/s.src.perEpoch(), tried%s.src.perEpoch())
		if (tried-first)%every == 0 && s.total > 0 || s.total == 0 && s.bar.due(tried) {
			if v, acc, ok := s.validate(held, 8); ok {
				s.curve.validated(tried, v)
				s.bar.validated(tried, v, acc)
			}
		}
		if time.Since(saved) > checkpointEvery {
			if err := s.r.Trainer.SaveFile(s.c.Checkpoint); err != nil {
				return fmt.Errorf("cannot write %s: %w", s.c.Checkpoint, err)
			}
			saved = time.Now()
		}
	}
	return nil
}

// quit ends the program at a second interrupt.
func (s *session) quit(first time.Time) {
	for range s.stop {
		if time.Since(first) > 300*time.Millisecond {
			fmt.Fprintln(s.out)
			os.Exit(130)
		}
	}
}

// explain adds to an error of a step what can be done about it.
func (s *session) explain(err error, k, first int64) error {
	s.bar.end()
	var bad *runtime.NonFiniteError
	if !errors.As(err, &bad) {
		return err
	}
	hint := "check the data"
	for _, o := range s.p.options() {
		if strings.EqualFold(o, "lr") {
			lr := s.p.Options[o]
			for n, v := range s.c.Options {
				if strings.EqualFold(n, o) {
					lr = v
				}
			}
			hint = fmt.Sprintf("try a lower rate: -lr %g", lr/10)
		}
	}
	if k > first {
		if e := s.r.Trainer.SaveFile(s.c.Checkpoint); e == nil {
			hint += fmt.Sprintf("; the state before this step is in %s", s.c.Checkpoint)
		}
	}
	return fmt.Errorf("training diverged: %w; %s", err, hint)
}

// save writes weights, checkpoint and curve.
func (s *session) save() error {
	for _, f := range []struct {
		path, what string
		save       func(string) error
	}{
		{s.c.Out, "weights", s.r.Weights.SaveFile},
		{s.c.Checkpoint, "checkpoint", s.r.Trainer.SaveFile},
		{s.c.Curve, "loss curve", s.curve.save},
	} {
		if f.path == "" || f.what == "loss curve" && s.curve.empty() {
			continue
		}
		if err := f.save(f.path); err != nil {
			return fmt.Errorf("cannot write %s: %w", f.path, err)
		}
		fmt.Fprintf(s.out, "wrote %s (%s)\n", f.path, f.what)
	}
	return nil
}

// round is a duration without needless digits.
func round(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// count is n with commas.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// formatted is x with about four digits.
func formatted(x float64) string {
	switch a := math.Abs(x); {
	case a >= 1e6 || a > 0 && a < 1e-3:
		return fmt.Sprintf("%.3g", x)
	case a >= 1000:
		return fmt.Sprintf("%.0f", x)
	case a >= 10:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.4f", x)
}
