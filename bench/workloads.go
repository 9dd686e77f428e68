package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// sources are the packages that the programs import, by name.
var sources = map[string]source{
	"w1":       {text: "w1.lm"},
	"w2train":  {text: "w2.lm", dims: dims{"B": 32}},
	"w2infer":  {text: "w2.lm", dims: dims{"B": 1}},
	"w2tiny":   {text: "w2.lm", model: "Tiny", dims: dims{"B": 1}},
	"w3train":  {text: "w3.lm", dims: dims{"B": 32}},
	"w3infer":  {text: "w3.lm", dims: dims{"B": 1}},
	"w4train":  {text: "w4.lm", dims: dims{"B": 16}},
	"w4infer":  {text: "w4.lm", dims: dims{"B": 1}},
	"w5":       {text: "w5.lm", dims: dims{"B": 20, "T": 35}},
	"w6b8":     {text: "gpt.lm", model: "W6", dims: dims{"B": 8, "T": 256}},
	"w6b1":     {text: "gpt.lm", model: "W6", dims: dims{"B": 1, "T": 256}},
	"w6decode": {text: "gpt.lm", model: "W6", dims: dims{"B": 1}},
	"w7train":  {text: "gpt.lm", model: "W7", dims: dims{"B": 4, "T": 64}},
	"w7decode": {text: "gpt.lm", model: "W7", dims: dims{"B": 1}},
	"w8":       {text: "w8.lm", dims: dims{"B": 1, "T": 128}},
	"w9":       {text: "w9.lm", dims: dims{"B": 1, "T": 8000}},
	"w10":      {text: "w10.lm", dims: dims{"B": 512, "K": 5}},
}

type dims = map[string]int

// A workload is one thing that is timed.
type workload struct {
	name    string
	program string   // in _run
	uses    []string // packages that the program imports; the first one does the work
	fn      string   // the trainer or method that is timed
	dims    dims     // further sizes of a call, for the cost of its kernels
	calls   int      // of fn in what is timed, if not 1

	// What cannot be avoided: floating-point operations of products, of which
	// training needs three for each one of inference but for the gradient of the
	// input; and bytes that stream through the core, of weights that are used once
	// (decoding) or updated.
	flops, bytes float64

	// losses are the first ones, as PyTorch computes them. The first few must
	// agree to 1e-4; where rounding is amplified from step to step, as by batch
	// norm over few numbers, PyTorch itself differs by up to 1 % between its own
	// memory formats in those that follow.
	losses []float64
	agree  int // how many must agree; 0 means all

	// outputs are the mean and the standard deviation of what a method returns,
	// tokens the first ones that are generated.
	outputs, tokens []float64
}

// Multiply-adds of one example, or of one token.
const (
	macs2    = 784*128 + 128*64 + 64*10
	conv1    = 28 * 28 * 9 * 32
	macs3    = conv1 + 14*14*9*32*64 + 3136*128 + 128*10
	stem     = 32 * 32 * 27 * 64
	macs4    = stem + 4*unit4 + 3*(unit4/2+3*unit4+unit4/18) + 512*10
	unit4    = 32 * 32 * 9 * 64 * 64
	macs5    = 128*1024 + 256*1024 + 256*1000
	body6    = 6 * 12 * 384 * 384
	macs6    = 256*(body6+65*384) + 6*2*384*256*257/2
	body7    = 12 * 12 * 768 * 768
	macs7    = 64*(body7+50257*768) + 12*2*768*64*65/2
	macs8    = 128*body7 + 12*2*768*128*128
	macs9    = 20*(2*64*128+2*64*64) + 64*64 + 64*256
	params2  = macs2 + 128 + 64 + 10
	params3  = 9*32 + 9*32*64 + 3136*128 + 1280 + 234
	params4  = 11173962
	params5  = 1000*128 + 384*1024 + 2048 + 257*1000
	params6  = body6 + (65+256)*384
	params7  = body7 + (50257+1024)*768 + 12*13*768
	params9  = 256*64 + 20*(2*64*128+2*64*64+256) + 65*64 + 65*256
	adam     = 4 * 8 // bytes a parameter: gradient written; four read, three written
	momentum = 4 * 6
	sgd      = 4 * 4
)

var workloads = []*workload{
	{name: "W1.train1000", program: "w1", uses: []string{"w1"}, fn: "Step", calls: 1000, flops: 1000 * 4 * 1000, losses: []float64{0.003361}},
	{name: "W2.train", program: "w2", uses: []string{"w2train", "w2infer", "w2tiny"}, fn: "Step", flops: 64 * (3*macs2 - 784*128), bytes: adam * params2,
		losses: []float64{2.317574, 2.305264, 2.299932, 2.302172, 2.306511}},
	{name: "W2.infer", program: "w2", uses: []string{"w2infer", "w2train", "w2tiny"}, fn: "Logits", flops: 2 * macs2, bytes: 4 * params2,
		outputs: []float64{0.00379786, 0.0422286}},
	{name: "Tiny.infer", program: "w2", uses: []string{"w2tiny", "w2train", "w2infer"}, fn: "Logits", flops: 2 * (6*64 + 64*8 + 8*4)},
	{name: "W3.train", program: "w3", uses: []string{"w3train", "w3infer"}, fn: "Step", flops: 64 * (3*macs3 - conv1), bytes: adam * params3,
		losses: []float64{2.324687, 2.31551, 2.266653, 2.394735, 2.344704}},
	{name: "W3.infer", program: "w3", uses: []string{"w3infer", "w3train"}, fn: "Logits", flops: 2 * macs3, bytes: 4 * params3,
		outputs: []float64{-0.0215585, 0.0435575}},
	{name: "W4.train", program: "w4", uses: []string{"w4train", "w4infer"}, fn: "Step", flops: 32 * (3*macs4 - stem), bytes: momentum * params4,
		agree: 2, losses: []float64{2.427846, 2.40179, 2.365177, 2.617141, 2.73511}},
	{name: "W4.infer", program: "w4", uses: []string{"w4infer", "w4train"}, fn: "Logits", flops: 2 * macs4,
		outputs: []float64{0.000289507, 0.0102638}},
	{name: "W5.train", program: "w5", uses: []string{"w5"}, fn: "Step", flops: 6 * 700 * macs5, bytes: sgd * params5,
		losses: []float64{6.907463, 6.907857, 6.907021, 6.9078, 6.907802}},
	{name: "W5.infer", program: "w5", uses: []string{"w5"}, fn: "Logits", flops: 2 * 700 * macs5,
		outputs: []float64{1.0845e-05, 0.00498002}},
	{name: "W6.train.B8", program: "w6", uses: []string{"w6b8", "w6b1", "w6decode"}, fn: "Step", flops: 6 * 8 * macs6, bytes: adam * params6,
		losses: []float64{4.357364, 4.484695, 4.595469, 4.363312, 4.252768}},
	{name: "W6.train.B1", program: "w6", uses: []string{"w6b1", "w6b8", "w6decode"}, fn: "Step", flops: 6 * macs6, bytes: adam * params6,
		losses: []float64{4.377953, 4.535258, 4.605093, 4.557732, 4.370351}},
	{name: "W6.fwd.B8", program: "w6", uses: []string{"w6b8", "w6b1", "w6decode"}, fn: "Logits", flops: 2 * 8 * macs6,
		outputs: []float64{-0.133449, 0.635554}},
	{name: "W6.decode", program: "w6", uses: []string{"w6decode", "w6b8", "w6b1"}, fn: "Decode", dims: dims{"P": 127}, bytes: 4 * (params6 - 256*384),
		tokens: []float64{30, 52, 52, 63, 37, 37, 37, 37}},
	{name: "W7.train.B4", program: "w7", uses: []string{"w7train", "w7decode"}, fn: "Step", flops: 6 * 4 * macs7, bytes: adam * params7,
		losses: []float64{10.998075, 10.945953, 11.03133, 11.00417, 11.069197}},
	{name: "W7.decode", program: "w7", uses: []string{"w7decode", "w7train"}, fn: "Decode", dims: dims{"P": 288}, bytes: 4 * (params7 - 1024*768),
		tokens: []float64{33189, 33189, 33189, 33189, 33189, 34043, 34043, 34043}},
	{name: "W8.infer", program: "w8", uses: []string{"w8"}, fn: "Encode", flops: 2 * macs8,
		outputs: []float64{0, 1.00001}},
	{name: "W9.train", program: "w9", uses: []string{"w9"}, fn: "Step", flops: 6 * 8000 * macs9, bytes: adam * params9,
		losses: []float64{5.545357, 5.545277, 5.545571, 5.545194, 5.542987}},
	{name: "W9.infer", program: "w9", uses: []string{"w9"}, fn: "Logits", flops: 2 * 8000 * macs9,
		outputs: []float64{-0.000840683, 0.0104448}},
	{name: "W10.train", program: "w10", uses: []string{"w10"}, fn: "Step", flops: 512 * 6 * 6 * 128, bytes: 512 * 7 * 512 * 2,
		losses: []float64{2131.496338, 2130.380127, 2130.449707, 2130.341797, 2129.505859}},
}

// choose is the workloads whose names begin with one of only, or all.
func choose(only []string) []*workload {
	if len(only) == 0 {
		return workloads
	}
	var out []*workload
	for _, w := range workloads {
		for _, p := range only {
			if w.name == p || strings.HasPrefix(w.name, p+".") {
				out = append(out, w)
				break
			}
		}
	}
	return out
}

// limit is the time in ms that the machine needs for what cannot be avoided:
// products at the speed of its multipliers, then weights at the speed of the
// memory that holds them.
func (w *workload) limit(l *limits) float64 {
	if l.flops == 0 {
		return 0
	}
	t := w.flops / l.flops
	if w.bytes > 0 {
		size := w.bytes
		switch {
		case w.program == "w10":
			size = 2 * 4 * 50_000 * 128 // rows anywhere in two tables
		case w.losses != nil:
			size /= 2 // what is updated is written, too
		}
		t += w.bytes / l.speed(int(size))
	}
	return 1e3 * t
}

// wrong compares what a program computed with what PyTorch does. A program
// may compute fewer losses.
func (w *workload) wrong(r *result) string {
	for i, got := range r.Losses {
		tolerance := 1e-4
		if w.agree > 0 && i >= w.agree {
			tolerance = 1e-2
		}
		if math.Abs(got-w.losses[i]) > tolerance*w.losses[i] {
			return fmt.Sprintf("the losses are %v, should be %v", r.Losses, w.losses)
		}
	}
	for i, want := range w.outputs {
		if math.Abs(r.Outputs[i]-want) > 1e-4*w.outputs[1] {
			return fmt.Sprintf("mean and deviation are %v, should be %v", r.Outputs, w.outputs)
		}
	}
	if w.tokens != nil && !slices.Equal(r.Outputs, w.tokens) {
		return fmt.Sprintf("the tokens are %v, should be %v", r.Outputs, w.tokens)
	}
	return ""
}
