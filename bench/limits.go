package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// limits are what the machine can do with some cores, measured in this run.
// They are zero where nobody knows how to measure them.
type limits struct {
	cores  int
	target string
	flops  float64         // a second: fused multiply-adds in registers, each two operations, as the target has them
	avx2   float64         // the same with 8 lanes
	avx512 float64         // with 16
	scalar float64         // of a loop in Go, if the target is portable
	speeds map[int]float64 // bytes a second, by the size of what is read again and again
}

func (l *limits) String() string {
	if l.flops == 0 {
		return fmt.Sprintf("%d cores; no limits are measured here", l.cores)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d cores; FMA peak %.0f GFLOP/s (AVX2)", l.cores, l.avx2/1e9)
	if l.avx512 > 0 {
		fmt.Fprintf(&b, ", %.0f (AVX-512)", l.avx512/1e9)
	}
	if l.scalar > 0 {
		fmt.Fprintf(&b, ", a loop unrolled by hand in Go %.1f", l.scalar/1e9)
	}
	b.WriteString("; reading")
	fmt.Fprintf(&b, " L2 %.0f L3 %.0f DRAM %.0f", l.speed(512<<10)/1e9, l.speed(8<<20)/1e9, l.speed(512<<20)/1e9)
	return b.String() + " GB/s"
}

// measureLimits takes the best of several tries, since whatever else the
// machine does can only slow them down.
func measureLimits(cores int, target string) *limits {
	l := &limits{cores: cores, target: target, speeds: map[int]float64{}}
	l.measurePeak()
	return l
}

// during runs f and sets the peak to the mean of what it is before and after:
// clocks of processors change from one minute to the next.
func (l *limits) during(f func() error) error {
	l.measurePeak()
	before := l.flops
	err := f()
	l.measurePeak()
	l.flops = (before + l.flops) / 2
	return err
}

// measurePeak sets flops.
func (l *limits) measurePeak() {
	cores := l.cores
	if l.target == "portable" {
		l.scalar = scalarSpeed(cores)
	}
	if !hasFlag("fma") || !hasFlag("avx2") {
		return
	}
	const n = 1 << 18
	l.avx2 = bestOf(cores, n*fma256FLOPs, func(int) { fma256(n) })
	l.flops = l.avx2
	if hasFlag("avx512f") {
		l.avx512 = bestOf(cores, n*fma512FLOPs, func(int) { fma512(n) })
		if l.target != "amd64-avx2" {
			l.flops = max(l.flops, l.avx512)
		}
	}
	if l.scalar > 0 {
		l.flops = l.scalar
	}
}

// speed is how many bytes a second the cores can read of memory of some size
// that they read again and again.
func (l *limits) speed(size int) float64 {
	if v := l.speeds[size]; v > 0 {
		return v
	}
	data := make([][]float32, l.cores)
	for i := range data {
		data[i] = make([]float32, size/4/l.cores)
		for j := range data[i] {
			data[i][j] = 1
		}
	}
	read := read256
	if l.avx512 > 0 {
		read = read512
	}
	passes := max(1, 64<<20/max(1, size))
	v := bestOf(l.cores, float64(passes*size)/float64(l.cores), func(i int) {
		for range passes {
			read(data[i])
		}
	})
	l.speeds[size] = v
	return v
}

// bestOf runs f on some cores at once, ten times, and returns how much work a
// second is done in the best of them.
func bestOf(cores int, work float64, f func(core int)) float64 {
	best := 0.0
	old := runtime.GOMAXPROCS(cores)
	defer runtime.GOMAXPROCS(old)
	for range 10 {
		var wg sync.WaitGroup
		start := time.Now()
		for i := range cores {
			wg.Go(func() { f(i) })
		}
		wg.Wait()
		best = max(best, work*float64(cores)/time.Since(start).Seconds())
	}
	return best
}

// hasFlag reports whether the processor has a feature, by its name in Linux.
func hasFlag(name string) bool {
	if runtime.GOARCH != "amd64" {
		return false
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return false
	}
	_, rest, ok := strings.Cut(string(info), "\nflags")
	if !ok {
		return false
	}
	line, _, _ := strings.Cut(rest, "\n")
	for _, f := range strings.Fields(line) {
		if f == name {
			return true
		}
	}
	return false
}
