// Command bench measures ten workloads: models as one meets them, compiled by
// lmc, beside what the machine could do and what other programs need.
//
//	go run ./bench                          # all workloads on one core
//	go run ./bench -only W2,W6 -cores 1,2   # some of them, on one core and on two
//	go run ./bench -only W7 -profile        # where the time goes, kernel by kernel
//	go run ./bench -gemm                    # matrix products alone
//	go run ./bench -peers                   # run other programs, too, where they are installed
//
// Every text here is compiled to a package in a scratch module together with
// the program in _run that times it. Each workload runs in a process of its
// own, pinned to its cores where that is possible. Times are medians in the
// steady state, memory is the peak of the process.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
)

// options are the flags.
type options struct {
	only    []string
	cores   []int
	seconds float64
	target  string
	minimum bool
	profile bool
	top     int
	gemm    bool
	peers   bool
	python  string
	ort     string
	llama   string
	dir     string
}

func main() {
	var o options
	var only, cores string
	flag.StringVar(&only, "only", "", "workloads whose `names` begin so, separated by commas")
	flag.StringVar(&cores, "cores", "1", "`numbers` of cores, separated by commas")
	flag.Float64Var(&o.seconds, "time", 3, "`seconds` for each workload")
	flag.StringVar(&o.target, "target", "", "use the kernels of this `target`, such as portable")
	flag.BoolVar(&o.minimum, "min", false, "compare minima, or processor time, instead of medians, on a machine that does other work")
	flag.BoolVar(&o.profile, "profile", false, "print where the time goes")
	flag.IntVar(&o.top, "top", 12, "print this `many` kernels of a profile")
	flag.BoolVar(&o.gemm, "gemm", false, "measure matrix products instead")
	flag.BoolVar(&o.peers, "peers", false, "run the programs of peers, too")
	flag.StringVar(&o.python, "python", "python3", "the `command` of a Python that has PyTorch")
	flag.StringVar(&o.ort, "ort", "", "the `folder` of the models of ONNX Runtime and llama.cpp (see peers/README.md)")
	flag.StringVar(&o.llama, "llama", "", "the `command` llama-bench of llama.cpp")
	flag.StringVar(&o.dir, "dir", "", "keep the scratch module in this `folder`")
	flag.Parse()
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for c := range strings.SplitSeq(cores, ",") {
		n, err := strconv.Atoi(c)
		if err != nil || n < 1 {
			fail(fmt.Errorf("-cores: %q is not a number of cores", c))
		}
		o.cores = append(o.cores, n)
	}
	if err := run(o); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func run(o options) error {
	here, err := folder()
	if err != nil {
		return err
	}
	m, err := newModule(here, o.dir)
	if err != nil {
		return err
	}
	if o.dir == "" {
		defer os.RemoveAll(m.dir)
	}
	if o.gemm {
		return gemm(m, o)
	}
	chosen := choose(o.only)
	if len(chosen) == 0 {
		return errors.New("-only chooses nothing")
	}
	for _, w := range chosen {
		if err := m.add(w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	for _, cores := range o.cores {
		if err := table(m, o, chosen, cores); err != nil {
			return err
		}
	}
	return nil
}

// folder is where this command's texts are: the folder bench of this module.
func folder() (string, error) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", modulePath+"/bench").Output()
	if err != nil {
		return "", errors.New("run it inside the module: go run ./bench")
	}
	return strings.TrimSpace(string(out)), nil
}

// table measures the chosen workloads on some cores and prints a line for each
// as soon as it is there.
func table(m *module, o options, chosen []*workload, cores int) error {
	limit := measureLimits(cores, o.target)
	fmt.Printf("%s\n\n", limit)
	tw := tabwriter.NewWriter(os.Stdout, 12, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "workload\tms\tmin ms\tcpu ms\tpeak GF/s\tof limit\tpeer ms\tratio\tMB\tmallocs\t  kernels, peer")
	tw.Flush()
	for _, w := range chosen {
		profile := ""
		if o.profile {
			profile = filepath.Join(m.dir, w.name+".prof")
		}
		var r *result
		err := limit.during(func() (err error) {
			r, err = m.run(w, o, cores, profile)
			return err
		})
		if err != nil {
			fmt.Printf("%12s  %v\n", w.name, err)
			continue
		}
		share, peerMS, ratio, peerName := "", "", "", ""
		if t := w.limit(limit); t > 0 {
			share = fmt.Sprintf("%.1f%%", 100*t/r.time(o))
		}
		if o.peers {
			if p := best(runPeers(m, o, w, cores), o); p != nil {
				peerMS, ratio = digits(p.time(o)), fmt.Sprintf("%.2f", r.time(o)/p.time(o))
				peerName = fmt.Sprintf("%s (%.0f MB)", p.Peer, p.RSS)
			}
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%.0f\t%s\t%s\t%s\t%.0f\t%.3g\t  %s %s\n", w.name, digits(r.Median), digits(r.Min), digits(r.CPU), limit.flops/1e9, share, peerMS, ratio, r.RSS, r.Mallocs, r.Kernels, peerName)
		tw.Flush()
		if bad := w.wrong(r); bad != "" {
			fmt.Printf("  WRONG: %s\n", bad)
		}
		if o.profile {
			if err := m.report(w, r, profile, limit, o); err != nil {
				return err
			}
		}
	}
	fmt.Println()
	return nil
}

// time is what is compared. On one core, processor time is a time, too, that
// other programs on it do not lengthen.
func (r *result) time(o options) float64 {
	if o.minimum && r.CPU > 0 && r.Cores == 1 {
		return min(r.Min, r.CPU)
	}
	if o.minimum {
		return r.Min
	}
	return r.Median
}

// digits is x with four significant digits.
func digits(x float64) string {
	s := strconv.FormatFloat(x, 'g', 4, 64)
	if strings.Contains(s, "e") {
		return strconv.FormatFloat(x, 'f', 6, 64)
	}
	return s
}

// pinned is a command on some cores: the last ones, since the first serve
// interrupts.
func pinned(cores int, name string, args ...string) *exec.Cmd {
	if path, err := exec.LookPath("taskset"); err == nil && cores <= runtime.NumCPU() {
		n := runtime.NumCPU()
		args = append([]string{"-c", fmt.Sprintf("%d-%d", n-cores, n-1), name}, args...)
		name = path
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", cores))
	return cmd
}
