// Package harness is what the programs that time a workload have in common: the
// random numbers and initial values that all implementations share, the timing,
// and the line that a program prints.
package harness

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Result is the line that a program prints.
type Result struct {
	Workload string    `json:"workload"`
	Median   float64   `json:"median_ms"`
	Min      float64   `json:"min_ms"`
	CPU      float64   `json:"cpu_ms"` // processor time of a call, of all threads
	Samples  int       `json:"n"`
	RSS      float64   `json:"rss_mb"`
	Losses   []float32 `json:"loss,omitempty"`
	Outputs  []float64 `json:"outputs,omitempty"` // mean and deviation of a method's result, or the first tokens
	Kernels  string    `json:"kernels"`
	Mallocs  float64   `json:"mallocs"` // a call
	Cores    int       `json:"threads"`
}

// A Run is one workload that is being timed.
type Run struct {
	Result
	seconds float64
	losses  int
	only    bool // compute the losses and time nothing
	profile string
}

// Workloads are the functions of a program by the names of what they time.
type Workloads map[string]func(r *Run)

// Main runs the workload that the command line names and prints a Result.
func Main(kernels string, all Workloads) {
	r := &Run{}
	flag.Float64Var(&r.seconds, "time", 3, "time for this many `seconds`")
	flag.IntVar(&r.losses, "losses", 5, "print the first `n` losses")
	flag.BoolVar(&r.only, "check", false, "compute the losses, time nothing")
	flag.StringVar(&r.profile, "profile", "", "write a profile of what is timed to this `file`")
	flag.Parse()
	r.Workload = flag.Arg(0)
	run := all[r.Workload]
	if run == nil {
		Fail(fmt.Errorf("%s has no workload %q", filepath.Base(os.Args[0]), r.Workload))
	}
	r.Kernels, r.Cores = kernels, runtime.GOMAXPROCS(0)
	run(r)
	r.RSS = peak()
	if err := json.NewEncoder(os.Stdout).Encode(r.Result); err != nil {
		Fail(err)
	}
}

// Fail ends the program.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Must is v, unless there is an error.
func Must[T any](v T, err error) T {
	if err != nil {
		Fail(err)
	}
	return v
}

// Train times step, which is given the number of the batch and returns the
// loss, after it has collected the first losses.
func (r *Run) Train(step func(i int) float32) {
	for i := range r.losses {
		r.Losses = append(r.Losses, step(i))
	}
	n := r.losses
	r.Time(func() { step(n); n++ })
}

// Infer times f, which returns the result of a method.
func (r *Run) Infer(f func() []float32) {
	y := f()
	var sum, squares float64
	for _, v := range y {
		sum += float64(v)
	}
	mean := sum / float64(len(y))
	for _, v := range y {
		squares += (float64(v) - mean) * (float64(v) - mean)
	}
	r.Outputs = []float64{mean, math.Sqrt(squares / float64(len(y)-1))}
	r.Time(func() { f() })
}

// Time times f: medians of samples that are long enough for the clock.
func (r *Run) Time(f func()) {
	if r.only {
		return
	}
	calls, took := 1, time.Duration(0)
	warm := time.Now()
	for {
		start := time.Now()
		for range calls {
			f()
		}
		took = time.Since(start)
		if took < 50*time.Microsecond {
			calls *= 2
		} else if time.Since(warm).Seconds() > r.seconds/8 {
			break
		}
	}
	r.sample(calls, f)
}

// sample calls f for some seconds and takes the median.
func (r *Run) sample(calls int, f func()) {
	stop := r.startProfile()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var ms []float64
	used, begin := cpuTime(), time.Now()
	for len(ms) < 3 || time.Since(begin).Seconds() < r.seconds && len(ms) < 1<<20 {
		start := time.Now()
		for range calls {
			f()
		}
		ms = append(ms, time.Since(start).Seconds()*1e3/float64(calls))
	}
	used = cpuTime() - used
	runtime.ReadMemStats(&after)
	stop()
	r.CPU = used.Seconds() * 1e3 / float64(calls*len(ms))
	r.Mallocs = float64(after.Mallocs-before.Mallocs) / float64(calls*len(ms))
	r.Report(ms)
}

// Report takes samples in ms that were measured elsewhere.
func (r *Run) Report(ms []float64) {
	slices.Sort(ms)
	r.Median, r.Min, r.Samples = ms[len(ms)/2], ms[0], len(ms)
}

// Tokens times n calls that depend on each other, such as the tokens of a text,
// over and over: f makes the i-th one, reset starts anew.
func (r *Run) Tokens(n int, reset func(), f func(i int) int32) {
	var ms []float64
	stop := func() {}
	if r.only {
		n = min(n, 8)
	}
	var used time.Duration
	begin := time.Now()
	for rep := 0; rep < 3 || time.Since(begin).Seconds() < r.seconds; rep++ {
		if r.only && rep > 0 {
			return
		}
		reset()
		if rep == 1 { // the first one warms up
			stop = r.startProfile()
			begin = time.Now()
		}
		before := cpuTime()
		for i := range n {
			start := time.Now()
			token := f(i)
			took := time.Since(start)
			if rep > 0 {
				ms = append(ms, took.Seconds()*1e3)
			} else if i < 8 {
				r.Outputs = append(r.Outputs, float64(token))
			}
		}
		if rep > 0 {
			used += cpuTime() - before
		}
	}
	stop()
	r.Report(ms)
	r.CPU = used.Seconds() * 1e3 / float64(len(ms))
}

func (r *Run) startProfile() (stop func()) {
	if r.profile == "" {
		return func() {}
	}
	f := Must(os.Create(r.profile))
	if err := pprof.StartCPUProfile(f); err != nil {
		Fail(err)
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		Fail(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the largest resident size so far in MB, where the system tells.
func peak() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}
