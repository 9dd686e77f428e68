package drive

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/lmc-lang/lmc/runtime"
)

// A curve collects the loss of every step and of every validation.
type curve struct{ train, held []point }

// A point is a loss after a step.
type point struct {
	step int64
	loss float64
}

func (c *curve) add(step int64, loss float64)       { c.train = append(c.train, point{step, loss}) }
func (c *curve) validated(step int64, loss float64) { c.held = append(c.held, point{step, loss}) }
func (c *curve) empty() bool                        { return len(c.train) < 2 }

// save writes the curve as an SVG picture.
func (c *curve) save(path string) error {
	return runtime.WriteFileAtomic(path, func(w io.Writer) error {
		_, err := io.WriteString(w, c.svg())
		return err
	})
}

// The size of the picture and of the frame in it, in pixels.
const (
	width, height            = 760, 440
	left, right, top, bottom = 76, 24, 24, 56
	maxPoints                = 400
)

// axis maps values to pixels.
type axis struct {
	lo, hi   float64
	from, to float64
	log      bool
}

func (a axis) at(v float64) float64 {
	lo, hi := a.lo, a.hi
	if a.log {
		lo, hi, v = math.Log10(lo), math.Log10(hi), math.Log10(v)
	}
	return a.from + (v-lo)/(hi-lo)*(a.to-a.from)
}

// ticks are about n round values in the range of the axis.
func (a axis) ticks(n int) []float64 {
	var out []float64
	if a.log {
		span := math.Log10(a.hi / a.lo)
		steps := []float64{1}
		if span < 3 {
			steps = []float64{1, 2, 5}
		}
		every := int(max(1, math.Ceil(span/float64(n))))
		for e := int(math.Floor(math.Log10(a.lo))); e <= int(math.Ceil(math.Log10(a.hi))); e += every {
			for _, s := range steps {
				if v := s * math.Pow(10, float64(e)); v >= a.lo*0.999 && v <= a.hi*1.001 {
					out = append(out, v)
				}
			}
		}
		return out
	}
	step := niceStep((a.hi - a.lo) / float64(n))
	for k := math.Ceil(a.lo/step - 1e-9); k*step <= a.hi+step*1e-9; k++ {
		out = append(out, k*step)
	}
	return out
}

// niceStep is the least of 1, 2, 5, 10, … times a power of ten that is at least
// x.
func niceStep(x float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= x*0.999 {
			return m * p
		}
	}
	return 10 * p
}

// svg draws the curve: losses of steps thin, their running mean thick,
// validations as dots.
func (c *curve) svg() string {
	thin := thinned(c.train, maxPoints)
	smooth := thinned(smoothed(c.train), maxPoints)
	lo, hi := extent(smooth, c.held)
	fall := hi / lo
	lo, hi = extent(thin, smooth, c.held)
	y := axis{lo: lo, hi: hi, from: height - bottom, to: top}
	if lo > 0 && fall > 30 { // a loss that falls by orders of magnitude
		y.log = true
		y.lo, y.hi = lo/1.1, hi*1.1
	} else {
		if hi-lo < 1e-12*max(math.Abs(hi), 1) {
			lo, hi = lo-0.5, hi+0.5
		}
		step := niceStep((hi - lo) / 6)
		y.lo, y.hi = math.Floor(lo/step)*step, math.Ceil(hi/step)*step
	}
	first, last := c.train[0].step-1, c.train[len(c.train)-1].step
	x := axis{lo: float64(first), hi: float64(last), from: left, to: width - right}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif" font-size="13">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	for _, t := range y.ticks(6) {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#e4e4e4"/>`+"\n", left, width-right, y.at(t), y.at(t))
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end" fill="#444">%s</text>`+"\n", left-8, y.at(t)+4.5, tick(t))
	}
	for _, t := range x.ticks(8) {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#888"/>`+"\n", x.at(t), x.at(t), height-bottom, height-bottom+5)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#444">%s</text>`+"\n", x.at(t), height-bottom+20, tick(t))
	}
	fmt.Fprintf(&b, `<path d="M%d %dV%dH%d" fill="none" stroke="#888"/>`+"\n", left, top, height-bottom, width-right)
	path := func(ps []point, style string) {
		fmt.Fprint(&b, `<path fill="none" `+style+` d="`)
		for i, p := range ps {
			fmt.Fprintf(&b, "%s%.1f %.1f", [2]string{"L", "M"}[first01(i)], x.at(float64(p.step)), y.at(p.loss))
		}
		b.WriteString("\"/>\n")
	}
	path(thin, `stroke="#9dbfe0" stroke-width="1"`)
	path(smooth, `stroke="#1f5fa8" stroke-width="2.2" stroke-linejoin="round"`)
	if len(c.held) > 0 {
		path(c.held, `stroke="#d9541e" stroke-width="1.6"`)
		for _, p := range c.held {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.6" fill="#d9541e"/>`+"\n", x.at(float64(p.step)), y.at(p.loss))
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" fill="#222">step</text>`+"\n", (left+width-right)/2, height-14)
	fmt.Fprintf(&b, `<text transform="translate(18 %d) rotate(-90)" text-anchor="middle" fill="#222">loss</text>`+"\n", (top+height-bottom)/2)
	legend := []struct{ colour, text string }{{"#1f5fa8", "training"}, {"#d9541e", "held out"}}
	if len(c.held) == 0 {
		legend = legend[:1]
	}
	for i, l := range legend {
		at := top + 16 + 20*i
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" stroke-width="2.4"/>`+"\n", width-right-104, width-right-78, at-4, at-4, l.colour)
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#222">%s</text>`+"\n", width-right-70, at, l.text)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// extent is the least and the greatest loss.
func extent(all ...[]point) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, ps := range all {
		for _, p := range ps {
			lo, hi = min(lo, p.loss), max(hi, p.loss)
		}
	}
	return lo, hi
}

// first01 is 1 for the first of a sequence, else 0.
func first01(i int) int {
	if i == 0 {
		return 1
	}
	return 0
}

// tick is a value of an axis.
func tick(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		s := count(int(math.Abs(v)))
		if v < 0 {
			s = "-" + s
		}
		return s
	}
	return fmt.Sprintf("%.3g", v)
}

// thinned is at most n points: the means of runs.
func thinned(ps []point, n int) []point {
	if len(ps) <= n {
		return ps
	}
	var out []point
	for i := range n {
		run := ps[i*len(ps)/n : (i+1)*len(ps)/n]
		sum := 0.0
		for _, p := range run {
			sum += p.loss
		}
		out = append(out, point{run[len(run)-1].step, sum / float64(len(run))})
	}
	return out
}

// smoothed is the mean over a fiftieth of the steps around each.
func smoothed(ps []point) []point {
	half := len(ps) / 100
	sums := make([]float64, len(ps)+1)
	for i, p := range ps {
		sums[i+1] = sums[i] + p.loss
	}
	out := make([]point, len(ps))
	for i, p := range ps {
		near := min(half, i, len(ps)-1-i) // as many before as after
		lo, hi := i-near, i+near+1
		out[i] = point{p.step, (sums[hi] - sums[lo]) / float64(hi-lo)}
	}
	return out
}
