package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// A product is one shape of a contraction: x[M, K] times w[K, N].
type product struct {
	what    string
	form    string // NN; NT: w is stored [N, K]; TN: x is stored [K, M]
	m, n, k int
	param   bool // w is a parameter, which may be packed once
}

func (p product) name() string {
	name := fmt.Sprintf("%s%dx%dx%d", p.form, p.m, p.n, p.k)
	if p.param {
		name += "p"
	}
	return name
}

// products are the shapes of GPT-2 with 256 tokens and of a GPT of 384
// channels with 2048 in all three forms, and what small batches need.
func products() []product {
	var out []product
	for _, form := range []string{"NN", "NT", "TN"} {
		for _, n := range []int{128, 512, 1024} {
			out = append(out, product{"cube", form, n, n, n, false})
		}
	}
	for _, l := range []struct {
		what string
		i, o int
	}{{"qkv", 768, 2304}, {"proj", 768, 768}, {"fc", 768, 3072}, {"fcproj", 3072, 768}} {
		out = append(out,
			product{l.what + " fwd", "NN", 256, l.o, l.i, false},
			product{l.what + " dX", "NT", 256, l.i, l.o, false},
			product{l.what + " dW", "TN", l.i, l.o, 256, false})
	}
	for _, l := range []struct {
		what string
		i, o int
	}{{"mini qkv", 384, 1152}, {"mini fc", 384, 1536}, {"mini fcproj", 1536, 384}} {
		out = append(out,
			product{l.what + " fwd", "NN", 2048, l.o, l.i, false},
			product{l.what + " dX", "NT", 2048, l.i, l.o, false},
			product{l.what + " dW", "TN", l.i, l.o, 2048, false})
	}
	out = append(out,
		product{"head fwd", "NT", 256, 50257, 768, false},
		product{"head dX", "NN", 256, 768, 50257, false},
		product{"head dW", "TN", 50257, 768, 256, false},
		product{"mlp fwd", "NN", 32, 128, 784, false},
		product{"mlp dW", "TN", 784, 128, 32, false},
		product{"mlp dX", "NT", 32, 128, 64, false},
		product{"QK", "NT", 256, 256, 64, false},
		product{"PV", "NN", 256, 64, 256, false})
	for _, m := range []int{1, 2, 3, 4, 8, 16, 32, 64} {
		out = append(out, product{"small", "NN", m, 768, 768, true}, product{"small", "NN", m, 3072, 768, true})
	}
	return append(out, product{"small", "NT", 1, 768, 768, true}, product{"small", "NT", 2, 768, 768, true},
		product{"head", "NT", 1, 50257, 768, true}, product{"head", "NT", 2, 50257, 768, true})
}

// gemm measures products alone.
func gemm(m *module, o options) error {
	all := products()
	if len(o.only) > 0 {
		var some []product
		for _, p := range all {
			for _, prefix := range o.only {
				if strings.HasPrefix(p.name(), prefix) || strings.HasPrefix(p.what, prefix) {
					some = append(some, p)
					break
				}
			}
		}
		all = some
	}
	if err := m.compileText("gemm", source{text: "gemm.lm"}, gemmText(all)); err != nil {
		return err
	}
	if err := m.write("gemm/main.go", gemmMain(all)); err != nil {
		return err
	}
	if err := m.build("gemm"); err != nil {
		return err
	}
	for _, cores := range o.cores {
		limit := measureLimits(cores, o.target)
		fmt.Printf("%s\n\n", limit)
		tw := tabwriter.NewWriter(os.Stdout, 10, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(tw, "form\tM\tN\tK\tms\tGF/s\tof peak\tGB/s\t  what")
		for _, p := range all {
			var r *result
			err := limit.during(func() (err error) {
				r, err = m.run(&workload{name: p.name(), program: "gemm"}, o, cores, "")
				return err
			})
			if err != nil {
				return err
			}
			flops := 2 * float64(p.m) * float64(p.n) * float64(p.k)
			moved := 4 * (float64(p.m)*float64(p.k) + float64(p.k)*float64(p.n) + float64(p.m)*float64(p.n))
			ms := r.time(o)
			s := ms * 1e-3
			fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%s\t%.1f\t%.1f%%\t%.1f\t  %s\n", p.form, p.m, p.n, p.k, digits(ms), flops/s/1e9, 100*flops/s/limit.flops, moved/s/1e9, p.what)
			tw.Flush()
		}
		fmt.Println()
	}
	return nil
}

// gemmText is a model with a func for each product.
func gemmText(all []product) []byte {
	var b bytes.Buffer
	b.WriteString("package gemm\n\nmodel Gemm {\n")
	for _, p := range all {
		x, w, e := fmt.Sprintf("f32[%d, %d]", p.m, p.k), fmt.Sprintf("f32[%d, %d]", p.k, p.n), "x @ w"
		switch p.form {
		case "NT":
			w, e = fmt.Sprintf("f32[%d, %d]", p.n, p.k), "x @ w.T"
		case "TN":
			x, e = fmt.Sprintf("f32[%d, %d]", p.k, p.m), "x.T @ w"
		}
		args := "x " + x + ", w " + w
		if p.param {
			name := "w" + p.name()
			fmt.Fprintf(&b, "\tparam %s %s = 1\n", name, w)
			e, args = strings.Replace(e, "w", name, 1), "x "+x
		}
		fmt.Fprintf(&b, "\tfunc %s(%s) f32[%d, %d] {\n\t\treturn %s\n\t}\n", p.name(), args, p.m, p.n, e)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// gemmMain is the program that times them.
func gemmMain(all []product) []byte {
	var b bytes.Buffer
	b.WriteString("package main\n\nimport (\n\t\"lmcbench/harness\"\n\tmodel \"lmcbench/model/gemm\"\n\n\t\"github.com/lmc-lang/lmc/runtime\"\n)\n\n")
	b.WriteString("func main() {\n\tharness.Main(model.KernelPath(), harness.Workloads{\n")
	for _, p := range all {
		x, w := fmt.Sprintf("%d, %d", p.m, p.k), fmt.Sprintf("%d, %d", p.k, p.n)
		switch p.form {
		case "NT":
			w = fmt.Sprintf("%d, %d", p.n, p.k)
		case "TN":
			x = fmt.Sprintf("%d, %d", p.k, p.m)
		}
		args := "x, w"
		fmt.Fprintf(&b, "\t\t%q: func(r *harness.Run) {\n\t\t\tx := runtime.NewTensor2(harness.Rand(1, %d), %s)\n", p.name(), p.m*p.k, x)
		weights := "model.NewWeights()"
		if p.param {
			args, weights = "x", "model.InitWeights(1)"
		} else {
			fmt.Fprintf(&b, "\t\t\tw := runtime.NewTensor2(harness.Rand(2, %d), %s)\n", p.k*p.n, w)
		}
		fmt.Fprintf(&b, "\t\t\ts := model.NewSession(%s)\n\t\t\ty := make([]float32, 0, %d)\n\t\t\tr.Time(func() { harness.Must(s.%s(y, %s)) })\n\t\t},\n", weights, p.m*p.n, p.name(), args)
	}
	b.WriteString("\t})\n}\n")
	return b.Bytes()
}
