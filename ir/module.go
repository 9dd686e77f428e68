package ir

import "github.com/lmc-lang/lmc/ir/loop"

// A Module is a checked model: its public signature, and the functions behind
// it. The checker makes one; passes derive gradients and steps from it.
type Module struct {
	API      *loop.API
	Entries  []*Entry   // parallel to API.Entries
	Trainers []*Trainer // parallel to API.Trainers
	Samplers []*Sampler // parallel to API.Generators
}

// An Entry is a function of the module together with what its parameters and
// results stand for.
type Entry struct {
	Func *Func
	In   []Binding // parallel to Func.Params
	Out  []Binding // parallel to Func.Results
}

// A Binding says what a parameter or result of an entry is.
type Binding struct {
	Kind  Kind
	Index int    // of the argument, result, weight, cache, moment, scalar or table
	Name  string // for messages and names
}

// A Kind is a sort of parameter or result.
type Kind uint8

// The kinds. Weight, Cache and Moment are whole stacks: [Counts..., Shape...].
const (
	ArgKind      Kind = iota // parameter: argument Index of the entry
	ResultKind               // result Index of the entry
	WeightKind               // parameter or state; as a result: its new value
	CacheKind                // as a result: its new value
	KeyKind                  // parameter: the random key, i32[3]: seed low half, seed high half, step
	TableKind                // parameter: a constant table
	GradKind                 // gradient of a weight
	MomentKind               // optimiser state; as a result: its new value
	ScalarKind               // parameter: a scalar of the step, f32
	LossKind                 // result of the loss of a trainer: what is minimised, f32
	PreparedKind             // prepared value Index of the program: computed from weights and constants alone
	SquaresKind              // result of a direct step: the sum of the squares of the gradient, f32
)

// A Trainer is a train block before differentiation.
type Trainer struct {
	Loss    *Entry   // in training mode; results: LossKind, then ResultKind (metrics), then new states (WeightKind)
	Penalty *Entry   // weights to f32, or nil
	Update  []int    // weights to train, ascending
	Rules   []*Rule  // parallel to Update
	Clip    float64  // global norm, 0 for none
	ClipKey string   // "", globalNorm, value or perExample: what Clip means
	Noise   float64  // of perExample, as a multiple of Clip
	Remat   []string // loops to recompute in the backward pass, by field path
}

// A Rule is the optimiser instantiated for one copy of one weight.
type Rule struct {
	Func    *Func // params: weight, gradient, moments…, step (i32, from 0), options (f32 or i32 scalars)…; results: new weight, new moments…
	Moments []int // API.Trainers[i].Moments, in the order of the params
	Random  bool  // the random key is one more parameter, the last
}

// A Sampler is a generate block.
type Sampler struct {
	Step, Sample *Entry
}
