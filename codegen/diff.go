package codegen

import (
	"fmt"
	"slices"
	"strings"
)

// diffContext is the number of equal lines around a difference.
const diffContext = 3

// Diff is a unified diff from a to b, two versions of the file called name;
// empty if they are equal.
func Diff(name, a, b string) string {
	if a == b {
		return ""
	}
	x, y := splitLines(a), splitLines(b)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s (on disk)\n+++ %s (generated)\n", name, name)
	edits := myers(x, y)
	for lo := 0; lo < len(edits); {
		if edits[lo].op == ' ' {
			lo++
			continue
		}
		// A hunk goes on while the equal lines between differences are few.
		hi, last := lo, lo
		for ; hi < len(edits) && hi-last <= 2*diffContext+1; hi++ {
			if edits[hi].op != ' ' {
				last = hi
			}
		}
		from, to := max(lo-diffContext, 0), min(last+diffContext+1, len(edits))
		hunk := edits[from:to]
		var na, nb int
		for _, e := range hunk {
			if e.op != '+' {
				na++
			}
			if e.op != '-' {
				nb++
			}
		}
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span(hunk[0].a, na), span(hunk[0].b, nb))
		for _, e := range hunk {
			out.WriteByte(e.op)
			out.WriteString(e.text)
			out.WriteByte('\n')
		}
		lo = to
	}
	return out.String()
}

// span is a range of lines, counted from 1, as hunks show it.
func span(first, n int) string {
	if n == 0 {
		return fmt.Sprintf("%d,0", first)
	}
	return fmt.Sprintf("%d,%d", first+1, n)
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// An edit is a line that stays (' '), goes ('-') or comes ('+'), with the number
// of lines of both sides before it.
type edit struct {
	op   byte
	text string
	a, b int
}

// maxEdits bounds the search for a shortest script; beyond it everything in the
// middle is replaced.
const maxEdits = 2000

// myers finds a shortest edit script (E. Myers, An O(ND) Difference Algorithm,
// 1986) between the common ends of a and b.
func myers(a, b []string) []edit {
	lo := 0
	for lo < len(a) && lo < len(b) && a[lo] == b[lo] {
		lo++
	}
	ha, hb := len(a), len(b)
	for ha > lo && hb > lo && a[ha-1] == b[hb-1] {
		ha, hb = ha-1, hb-1
	}
	var out []edit
	for i := range lo {
		out = append(out, edit{' ', a[i], i, i})
	}
	out = append(out, middle(a[lo:ha], b[lo:hb], lo)...)
	for i := ha; i < len(a); i++ {
		out = append(out, edit{' ', a[i], i, i - ha + hb})
	}
	return out
}

func middle(a, b []string, base int) []edit {
	n, m := len(a), len(b)
	// far[k+off] is the greatest x on diagonal k = x-y that d edits reach.
	off := min(n+m, maxEdits) + 1
	far := make([]int, 2*off+1)
	var trace [][]int
	found := false
search:
	for d := 0; d <= n+m && d <= maxEdits; d++ {
		trace = append(trace, slices.Clone(far))
		for k := -d; k <= d; k += 2 {
			x := far[off+k-1] + 1
			if k == -d || k != d && far[off+k-1] < far[off+k+1] {
				x = far[off+k+1]
			}
			for x < n && x-k < m && a[x] == b[x-k] {
				x++
			}
			far[off+k] = x
			if x >= n && x-k >= m {
				found = true
				break search
			}
		}
	}
	var out []edit
	if !found {
		for i, l := range a {
			out = append(out, edit{'-', l, base + i, base})
		}
		for i, l := range b {
			out = append(out, edit{'+', l, base + n, base + i})
		}
		return out
	}
	x, y := n, m
	for d := len(trace) - 1; d >= 0; d-- {
		far, k := trace[d], x-y
		prev := k - 1
		if k == -d || k != d && far[off+k-1] < far[off+k+1] {
			prev = k + 1
		}
		px := far[off+prev]
		py := px - prev
		if d == 0 {
			px, py = 0, 0
		}
		for x > px && y > py {
			x, y = x-1, y-1
			out = append(out, edit{' ', a[x], base + x, base + y})
		}
		switch {
		case d == 0:
		case x > px:
			x--
			out = append(out, edit{'-', a[x], base + x, base + y})
		default:
			y--
			out = append(out, edit{'+', b[y], base + x, base + y})
		}
	}
	slices.Reverse(out)
	return out
}
