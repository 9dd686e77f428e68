package kit

import (
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"image/png"
	"math"
	"os"
	"strings"
)

// A Series is a curve, or points if Dots is set.
type Series struct {
	Name string
	X, Y []float64 // X may be nil: 0, 1, 2, …
	Dots bool
}

// Colors of the series.
var colors = []string{"#1f6fb4", "#d9542b", "#3a9b57", "#8a5bb0", "#b08a2e", "#5b6b7a"}

const width, height, left, right, top, bottom = 640, 360, 64, 16, 32, 44

// Plot draws series as an SVG picture of at most 400 points each.
func Plot(path, title, xlabel, ylabel string, all ...Series) error {
	lo, hi := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for i := range all {
		s := &all[i]
		if s.X == nil {
			for k := range s.Y {
				s.X = append(s.X, float64(k))
			}
		}
		for k := range s.Y {
			for d, v := range [2]float64{s.X[k], s.Y[k]} {
				lo[d], hi[d] = min(lo[d], v), max(hi[d], v)
			}
		}
	}
	for d := range lo {
		if hi[d] <= lo[d] {
			hi[d] = lo[d] + 1
		}
	}
	x := func(v float64) float64 { return left + (v-lo[0])/(hi[0]-lo[0])*(width-left-right) }
	y := func(v float64) float64 { return height - bottom - (v-lo[1])/(hi[1]-lo[1])*(height-top-bottom) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="14">%s</text>`+"\n", left, title)
	for _, t := range ticks(lo[0], hi[0]) {
		fmt.Fprintf(&b, `<path d="M%.1f %d v%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n", x(t), top, height-top-bottom, x(t), height-bottom+16, t)
	}
	for _, t := range ticks(lo[1], hi[1]) {
		fmt.Fprintf(&b, `<path d="M%d %.1f h%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n", left, y(t), width-left-right, left-6, y(t)+4, t)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-8, xlabel)
	fmt.Fprintf(&b, `<text x="14" y="%d" text-anchor="middle" transform="rotate(-90 14 %[1]d)">%s</text>`+"\n", (top+height-bottom)/2, ylabel)
	for i, s := range all {
		c := colors[i%len(colors)]
		step := max(1, (len(s.Y)+399)/400)
		if s.Dots {
			for k := 0; k < len(s.Y); k += step {
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s" fill-opacity="0.6"/>`+"\n", x(s.X[k]), y(s.Y[k]), c)
			}
		} else {
			fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, c)
			for k := 0; k < len(s.Y); k += step {
				fmt.Fprintf(&b, "%.1f,%.1f ", x(s.X[k]), y(s.Y[k]))
			}
			b.WriteString("\"/>\n")
		}
		if s.Name != "" {
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="%s">%s</text>`+"\n", width-right-6, top+16+16*i, c, s.Name)
		}
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(path, []byte(b.String()), 0o666)
}

// ticks are about six round values from lo to hi.
func ticks(lo, hi float64) []float64 {
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/4)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (hi-lo)/(step*m) <= 6 {
			step *= m
			break
		}
	}
	var out []float64
	for k := math.Ceil(lo / step); k*step <= hi; k++ {
		out = append(out, math.Round(k*step*1e9)/1e9)
	}
	return out
}

// shades are the colours of a sheet: 16 of grey for one channel, six levels of
// each of three channels otherwise. Few of them make small files.
func shades(c int) color.Palette {
	if c == 3 {
		return palette.WebSafe
	}
	var p color.Palette
	for i := range 16 {
		p = append(p, color.Gray{uint8(17 * i)})
	}
	return p
}

// Sheet writes images of h × w pixels and c channels (1 or 3), of values from lo
// to hi, as one PNG picture with the given number of columns.
func Sheet(path string, columns, h, w, c int, lo, hi float64, x []float32) error {
	n := len(x) / (h * w * c)
	rows := (n + columns - 1) / columns
	m := image.NewPaletted(image.Rect(0, 0, columns*(w+2)+2, rows*(h+2)+2), shades(c))
	white := uint8(m.Palette.Index(color.White))
	for i := range m.Pix {
		m.Pix[i] = white
	}
	for i := range n {
		for p := range h * w {
			var rgb [3]uint8
			for k := range rgb {
				v := (float64(x[(i*h*w+p)*c+k%c]) - lo) / (hi - lo)
				rgb[k] = uint8(255 * min(max(v, 0), 1))
			}
			m.Set(2+i%columns*(w+2)+p%w, 2+i/columns*(h+2)+p/w, color.NRGBA{rgb[0], rgb[1], rgb[2], 255})
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	e := png.Encoder{CompressionLevel: png.BestCompression}
	if err := e.Encode(f, m); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
