package drive

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Progress reports how training goes: on a terminal as a bar in the last line,
// elsewhere as a line every few seconds.
type progress struct {
	out      io.Writer
	terminal bool
	first    int64
	total    int64         // steps, 0 for no limit
	limit    time.Duration // 0 for none
	start    time.Time
	shown    time.Time
	smooth   float64 // loss, averaged over the last steps
	weight   float64
	held     string // of the last validation
	open     bool   // the last line is a bar
	now      func() time.Time
}

// How often the bar, or a line, is shown.
const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 3 * time.Second
)

func newProgress(out io.Writer, terminal bool, first, total int64, limit time.Duration) *progress {
	p := &progress{out: out, terminal: terminal, first: first, total: total, limit: limit, now: time.Now}
	p.start = p.now()
	p.shown = p.start
	return p
}

// step reports the loss of step k.
func (p *progress) step(k int64, loss float64) {
	const keep = 0.9
	p.smooth, p.weight = keep*p.smooth+(1-keep)*loss, keep*p.weight+(1-keep)
	every := lineEvery
	if p.terminal {
		every = barEvery
	}
	t := p.now()
	if t.Sub(p.shown) < every && k != p.first+1 && k != p.total {
		return
	}
	p.shown = t
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", p.line(k, t))
		p.open = true
	} else {
		fmt.Fprintln(p.out, p.line(k, t))
	}
}

// line is the state after step k.
func (p *progress) line(k int64, t time.Time) string {
	took := t.Sub(p.start)
	rate := float64(k-p.first) / max(took.Seconds(), 1e-9)
	share, left := 0.0, time.Duration(0)
	steps := fmt.Sprintf("step %d", k)
	if p.total > 0 {
		steps = fmt.Sprintf("step %*d/%d", len(fmt.Sprint(p.total)), k, p.total)
		share = float64(k) / float64(p.total)
		left = time.Duration(float64(p.total-k) / rate * float64(time.Second))
	}
	if p.limit > 0 {
		if s := took.Seconds() / p.limit.Seconds(); s > share {
			share, left = min(s, 1), max(p.limit-took, 0)
		}
	}
	s := steps
	if p.terminal {
		const width = 24
		n := int(share*width + 0.5)
		s += " [" + strings.Repeat("=", n) + strings.Repeat(" ", width-n) + "]"
	}
	s += "  loss " + formatted(p.smooth/p.weight)
	if p.terminal && p.held != "" {
		s += "  " + p.held
	}
	if k > p.first+1 || p.terminal {
		s += fmt.Sprintf("  %s steps/s", rateOf(rate))
		if k < p.total || p.total == 0 {
			s += fmt.Sprintf("  %s left", left.Round(time.Second))
		}
	}
	return s
}

func rateOf(r float64) string {
	if r >= 100 {
		return fmt.Sprintf("%.0f", r)
	}
	return fmt.Sprintf("%.1f", r)
}

// due is whether it is time for a validation where steps are not limited: about
// ten times in the time given.
func (p *progress) due(k int64) bool {
	done := k - p.first
	took := p.now().Sub(p.start)
	per := max(1, int64(float64(done)/max(took.Seconds(), 1e-9)*p.limit.Seconds()/10))
	return done > 10 && done%per == 0
}

// validated reports the loss on data held out, and the share of right classes
// if it is not negative.
func (p *progress) validated(k int64, loss, accuracy float64) {
	p.held = "held out " + formatted(loss)
	if accuracy >= 0 {
		p.held += fmt.Sprintf(" (%.1f %% right)", 100*accuracy)
	}
	if !p.terminal {
		fmt.Fprintf(p.out, "step %*d  %s\n", len(fmt.Sprint(p.total)), k, p.held)
	}
}

// end finishes the line of the bar.
func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.out)
		p.open = false
	}
}
