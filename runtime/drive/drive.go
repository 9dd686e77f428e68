// Package drive trains a generated package on data from files: it is the part
// of `lmc train` that runs together with the model. A program of a few lines,
// made for each model, fills a [Program] and calls [Main].
//
// It reads data (text, CSV, NumPy arrays, safetensors, idx images), binds it to
// the arguments of the loss by name and type, trains, validates on data held
// out, saves weights and checkpoints, draws the loss, and shows what was
// learned. Everything that depends on the model's Go types goes through
// reflection, so that hardly any code is generated.
package drive

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/lmc-lang/lmc/runtime"
)

// A Dim is an extent of an argument: the number N, or what Name stands for.
type Dim struct {
	Name string
	N    int
}

func (d Dim) String() string {
	if d.Name == "" {
		return fmt.Sprint(d.N)
	}
	return d.Name
}

// An Arg is an argument or a result of a function of the model.
type Arg struct {
	Name string
	Elem string // f32, i32 or bool
	Dims []Dim
}

func (a Arg) String() string {
	s := a.Elem
	if len(a.Dims) > 0 {
		var ds []string
		for _, d := range a.Dims {
			ds = append(ds, d.String())
		}
		s += "[" + strings.Join(ds, ", ") + "]"
	}
	if a.Name == "" {
		return s
	}
	return a.Name + " " + s
}

// A Func is an exported function of the model.
type Func struct {
	Name    string
	Args    []Arg
	Results []Arg
}

// A Program is a generated package as far as training needs it.
type Program struct {
	Model   string
	Params  int                // trained parameters
	Kernels string             // which kernels run
	Loss    Func               // what the trainer minimises, without the arguments that it carries over itself
	Carries bool               // the loss carries results over to the next step: batches must follow each other
	Entries []Func             // functions without caches, randomness and options
	Bounds  map[string]int     // greatest values of dims of the loss, where it has them
	Options map[string]float64 // of the train block, with their defaults
	New     func(seed uint64, options map[string]float64) (*Run, error)
}

// A Run is a model with its trainer, ready for the first step.
type Run struct {
	Trainer interface {
		SaveFile(name string) error
		LoadFile(name string) error
		Steps() int64
		SetPosition(epoch, batches int64)
	}
	Weights interface {
		SaveFile(name string) error
	}
	Meta    *map[string]string // of the weights
	Step    any                // method of the trainer: arguments of the loss to (result with field Loss, error)
	Reset   func()             // forgets what is carried over; nil if nothing is
	Entries map[string]any     // methods of a session by name
	Views   func() []Weight
	// Generate continues a text; nil if the model has no generate block.
	Generate func(prompt []int32, seed uint64) iter.Seq2[int32, error]
}

// A Weight is a parameter as it is now.
type Weight struct {
	Name  string
	Shape []int
	State bool
	Data  []float64
}

// Views copies parameters.
func Views[F runtime.Float](all iter.Seq[runtime.View[F]]) []Weight {
	var out []Weight
	for v := range all {
		w := Weight{Name: v.Name, Shape: v.Shape, State: v.State}
		for _, x := range v.Data {
			w.Data = append(w.Data, float64(x))
		}
		out = append(out, w)
	}
	return out
}

// An Input is a file that holds one argument, or with no name several.
type Input struct {
	Name string // of the argument; "" for a safetensors file with the names of arguments
	Path string
}

// A Config says what to train on, for how long, and where results go.
type Config struct {
	Text           string
	CSV            string
	Target         string   // column to predict: a name, or a number from 1 on
	Drop           []string // columns not to use
	Raw            bool     // columns stay as they are
	Inputs         []Input
	Images, Labels string

	Batch, Length int // 0 for a default
	Steps, Epochs int
	Time          time.Duration
	Seed          uint64
	Options       map[string]float64
	Holdout       float64 // share of the data held out

	Out        string // weights
	Checkpoint string
	Curve      string // "" for none
	Resume     bool
	Prompt     string
	Sample     int  // letters to generate at the end
	Terminal   bool // standard output understands a progress bar
}

// HasData is whether any source of data is given.
func (c *Config) HasData() bool {
	return c.Text != "" || c.CSV != "" || len(c.Inputs) > 0 || c.Images != ""
}

// Main is the whole program: it reads the configuration from the file named by
// the first argument and trains. It does not return after an error.
func Main(p Program) {
	if err := mainError(p); err != nil {
		fmt.Fprintln(os.Stderr, "lmc: "+err.Error())
		os.Exit(2)
	}
}

func mainError(p Program) error {
	if len(os.Args) != 2 {
		return errors.New("this program is started by `lmc train`")
	}
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var c Config
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("%s: %w", os.Args[1], err)
	}
	s, err := newSession(p, c, os.Stdout)
	if err != nil {
		return err
	}
	return s.run()
}
