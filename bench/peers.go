package main

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// A peer is another program that runs some of the workloads and prints a
// result. See the folder peers.
type peer struct {
	workloads []string // names, or the part before the first dot
	variants  [][]string
	command   func(m *module, o options, w *workload, variant []string) []string // nil if it is not installed here
}

var peers = []peer{
	{
		workloads: []string{"W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10"},
		variants:  [][]string{nil, {"--fused"}, {"--cl"}},
		command:   torch,
	},
	{workloads: []string{"W1", "W2", "W10"}, variants: [][]string{nil}, command: handC},
	{workloads: []string{"W2.infer", "W3.infer", "W4.infer", "W5.infer", "W6.fwd.B8", "W6.decode", "W7.decode", "W8.infer", "W9.infer"}, variants: [][]string{nil}, command: onnxRuntime},
	{workloads: []string{"W6.decode", "W7.decode"}, variants: [][]string{nil}, command: llama},
}

// runPeers runs all peers of a workload; what is not installed or fails is not
// there.
func runPeers(m *module, o options, w *workload, cores int) []*result {
	var out []*result
	family, _, _ := strings.Cut(w.name, ".")
	for _, p := range peers {
		for _, name := range p.workloads {
			if name != w.name && name != family {
				continue
			}
			for _, v := range p.variants {
				c := p.command(m, o, w, v)
				if c == nil {
					continue
				}
				cmd := pinned(cores, c[0], c[1:]...)
				cmd.Dir = filepath.Join(m.here, "peers")
				n := strconv.Itoa(cores)
				cmd.Env = append(clean(cmd.Env), "OMP_NUM_THREADS="+n, "OPENBLAS_NUM_THREADS="+n, "SECONDS_="+strconv.FormatFloat(o.seconds, 'g', -1, 64))
				if r, err := output(cmd); err == nil && r.Median > 0 {
					out = append(out, r)
				}
			}
		}
	}
	return out
}

// clean removes settings that tell OpenBLAS to use slower kernels.
func clean(env []string) []string {
	var out []string
	for _, e := range env {
		if !strings.HasPrefix(e, "OPENBLAS_") {
			out = append(out, e)
		}
	}
	return out
}

func best(results []*result, o options) *result {
	var b *result
	for _, r := range results {
		if b == nil || r.time(o) < b.time(o) {
			b = r
		}
	}
	return b
}

// torch is a script for PyTorch with the mode that the workload's name says.
// Variants that cannot matter are left out.
func torch(_ *module, o options, w *workload, variant []string) []string {
	family, mode, _ := strings.Cut(w.name, ".")
	mode, batch, _ := strings.Cut(mode, ".B")
	for _, v := range variant {
		if v == "--fused" && !strings.HasPrefix(mode, "train") || v == "--cl" && family != "W3" && family != "W4" {
			return nil
		}
	}
	if _, err := exec.LookPath(strings.Fields(o.python)[0]); err != nil {
		return nil
	}
	switch mode {
	case "train1000":
		mode = "train"
	case "fwd":
		mode = "infer"
	}
	args := append(strings.Fields(o.python), "torch/"+strings.ToLower(family)+".py", mode, "--seconds", strconv.FormatFloat(o.seconds, 'g', -1, 64))
	if batch != "" {
		args = append(args, "--batch", batch)
	}
	return append(args, variant...)
}

// onnxRuntime runs exported models through Node.js.
func onnxRuntime(m *module, o options, w *workload, _ []string) []string {
	if o.ort == "" {
		return nil
	}
	return []string{"node", "ort.js", o.ort, w.name}
}

// llama runs llama.cpp on weights of its own, which lie beside those of
// onnxRuntime.
func llama(_ *module, o options, w *workload, _ []string) []string {
	if o.llama == "" || o.ort == "" {
		return nil
	}
	return append([]string{"python3", "llama.py", o.ort, w.name}, strings.Fields(o.llama)...)
}

// handC is a program in C for one workload, compiled when it is first needed.
func handC(m *module, _ options, w *workload, _ []string) []string {
	exe := filepath.Join(m.dir, "bin", "handc")
	if m.built["handc"] == "" {
		src := filepath.Join(m.here, "peers", "handc.c")
		if exec.Command("gcc", "-O3", "-march=native", "-ffast-math", "-o", exe, src, "-lopenblas", "-lm").Run() != nil {
			return nil
		}
		m.built["handc"] = exe
	}
	return []string{exe, strings.TrimSuffix(w.name, "1000")}
}
