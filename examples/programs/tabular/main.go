// Command tabular classifies flowers by logistic regression and by a network,
// and estimates the risk of breast cancer and of diabetes.
package main

import (
	"flag"
	"fmt"
	"path/filepath"
	"sort"

	"example.com/programs/gen/disease"
	"example.com/programs/gen/logreg"
	"example.com/programs/gen/mlp"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -set I=4 -set C=3 -o ../gen/logreg ../../logreg.lm
//go:generate go tool lmc build -q -set I=4 -set H=32 -set C=3 -set drop=0.1 -o ../gen/mlp ../../mlp.lm
//go:generate go tool lmc build -q -o ../gen/disease ../../disease.lm

func main() {
	data := flag.String("data", "../../../shared/data/tabular", "folder with the tables")
	flag.Parse()
	x, y, names, err := kit.Table(filepath.Join(*data, "iris.csv"), -1)
	kit.Check(err)
	a, b := flowers(x, y, 1500)
	fmt.Printf("iris (%v): %.1f %% of the held out flowers by logistic regression, %.1f %% by the network\n", names, 100*a, 100*b)

	// Column 8 of the table of breast cancer is dropped: the model has 8.
	x, y, _, err = kit.Table(filepath.Join(*data, "breast-cancer-wisconsin.csv"), -1)
	kit.Check(err)
	var cut []float32
	for i := range y {
		cut = append(cut, x[i*9:i*9+8]...)
	}
	c := patients(cut, y, nil, 1500)
	fmt.Printf("breast cancer: %.1f %% right, area under the curve %.3f\n", 100*c.right, c.area)

	// In the table of diabetes, 0 in columns 1 to 5 is a missing measurement.
	x, y, classes, err := kit.Table(filepath.Join(*data, "pima-indians-diabetes.csv"), -1)
	kit.Check(err)
	for i := range y { // 1 is sick
		y[i] = map[string]int32{"0": 0, "1": 1}[classes[y[i]]]
	}
	c = patients(x, y, []int{1, 2, 3, 4, 5}, 800)
	fmt.Printf("diabetes: %.1f %% right, area under the curve %.3f; the risk grows by %.2f with glucose\n", 100*c.right, c.area, c.slopes[1])
	kit.Check(kit.Plot(kit.Out("disease.svg"), "Diabetes: found among the sick, by false alarms among the healthy", "false alarms", "found",
		kit.Series{Name: fmt.Sprintf("area %.3f", c.area), X: c.alarms, Y: c.found}))
}

// flowers trains on four fifths of the rows and gives the shares that both
// models get right of the rest.
func flowers(x []float32, y []int32, steps int) (regression, network float64) {
	r := kit.NewRand(5)
	kit.Shuffle(r, x, 4, y)
	n := len(y) * 4 / 5
	kit.Standardize(x, 4, n)
	rest, truth := kit.Matrix(x[4*n:], 4), y[n:]

	w := logreg.InitWeights(1)
	t := logreg.NewStep(w, logreg.DefaultStepOptions())
	for range steps {
		kit.Must(t.Step(kit.Matrix(x[:4*n], 4), y[:n]))
	}
	right := 0
	for i, c := range kit.Must(logreg.NewSession(w).Predict(nil, rest)) {
		if c == truth[i] {
			right++
		}
	}

	v := mlp.InitWeights(1)
	s := mlp.NewStep(v, mlp.DefaultStepOptions())
	for range steps {
		p := kit.Pick(r, 32, n)
		kit.Must(s.Step(kit.Matrix(kit.Rows(x, 4, p), 4), kit.Rows(y, 1, p)))
	}
	share := kit.Must(mlp.NewSession(v).Accuracy(rest, truth))
	return float64(right) / float64(len(truth)), float64(share)
}

// A chart is how well risks separate the sick from the healthy.
type chart struct {
	right, area   float64
	alarms, found []float64
	slopes        []float64 // of the risk by each measurement, on average
}

// patients trains on four fifths of the rows, in which 0 means missing in the
// columns listed, and judges by the rest.
func patients(x []float32, y []int32, missing []int, steps int) chart {
	const D = 8
	r := kit.NewRand(5)
	kit.Shuffle(r, x, D, y)
	n := len(y) * 4 / 5
	known := make([]float32, len(x))
	for i := range known {
		known[i] = 1
	}
	for _, c := range missing {
		for i := c; i < len(x); i += D {
			if x[i] == 0 {
				known[i] = 0
			}
		}
	}
	kit.Standardize(x, D, n)
	sick := make([]float32, len(y))
	for i, c := range y {
		sick[i] = float32(c)
	}
	w := disease.InitWeights(1)
	t := disease.NewStep(w, disease.DefaultStepOptions())
	for range steps {
		p := kit.Pick(r, 64, n)
		kit.Must(t.Step(kit.Matrix(kit.Rows(x, D, p), D), kit.Matrix(kit.Rows(known, D, p), D), kit.Rows(sick, 1, p)))
	}
	s := disease.NewSession(w)
	rest, have := kit.Matrix(x[D*n:], D), kit.Matrix(known[D*n:], D)
	risk := kit.Must(s.Risk(nil, rest, have))
	c := measure(risk, y[n:])
	g := kit.Must(s.Sensitivity(nil, rest, have))
	c.slopes = make([]float64, D)
	for i, v := range g.Data {
		c.slopes[i%D] += float64(v) / float64(len(risk))
	}
	return c
}

// measure compares risks with who is sick.
func measure(risk []float32, y []int32) chart {
	order := make([]int, len(risk))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, k int) bool { return risk[order[i]] > risk[order[k]] })
	var c chart
	found, alarms, sick := 0, 0, 0
	for i, v := range y {
		sick += int(v)
		if (risk[i] >= 0.5) == (v == 1) {
			c.right += 1 / float64(len(y))
		}
	}
	healthy := len(y) - sick
	for _, i := range order {
		if y[i] == 1 {
			found++
		} else {
			alarms++
			c.area += float64(found) / float64(sick) / float64(healthy)
		}
		c.alarms = append(c.alarms, float64(alarms)/float64(healthy))
		c.found = append(c.found, float64(found)/float64(sick))
	}
	return c
}
