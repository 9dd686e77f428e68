// Package passes turns a checked model into the functions that are generated:
// it derives the gradients and the optimiser step of each train block, and
// rewrites functions into cheaper ones of the same meaning.
//
// What comes in is an ir.Module; what goes out is a Program, whose functions
// are scheduled afterwards. Passes never change a function: they replace it.
// All of them stand in List below, one file each.
package passes

import (
	"github.com/lmc-lang/lmc/ir"
)

// A Pass is one step from the checked model to the program that is scheduled.
type Pass struct {
	Name  string
	Doc   string // starts with the name; one sentence
	After []After
	Run   func(p *Program) error
	// Holds is true after the pass and stays true: the manager checks it again
	// after every later pass. It may be nil.
	Holds func(p *Program) error
}

// After is a pass that has to come earlier, and why.
type After struct{ Pass, Why string }

// List is the pipeline, in order.
var List = []*Pass{
	{
		Name: "simplify",
		Doc:  "simplify applies the identities of the ops and those of rules in simplify.go.",
		Run:  each(simplify),
	},
	{
		Name:  "cse",
		Doc:   "cse computes equal values once and merges loops that do the same work.",
		After: []After{{"simplify", "identities make values equal"}},
		Run:   each(cse),
	},
	{
		Name:  "invariants",
		Doc:   "invariants moves what is the same in every iteration out of loops.",
		After: []After{{"cse", "equal invariants are moved once"}},
		Run:   each(invariants),
	},
	{
		Name: "dce",
		Doc:  "dce removes values that nobody uses, also results and operands of loops.",
		Run:  each(dce),
	},
	{
		Name: "derive",
		Doc:  "derive builds the gradients and the optimiser step of every train block.",
		After: []After{
			{"cse", "a loop that stands twice would be differentiated twice"},
			{"invariants", "what is the same in every iteration need not be kept for each of them"},
		},
		Run:   derive,
		Holds: derived,
	},
	{
		Name:  "scalars",
		Doc:   "scalars moves what depends on the step and the options alone into a function for the host, in float64.",
		After: []After{{"derive", "the optimiser step is there only then"}},
		Run:   scalars,
		Holds: noOptions,
	},
	{
		Name:  "direct",
		Doc:   "direct joins gradients and update where the update needs to touch some rows of a weight only, or where gradients take much memory.",
		After: []After{{"scalars", "it joins what is left of the update"}},
		Run:   direct,
	},
	{
		Name:  "simplify.2",
		Doc:   "simplify.2 is simplify on the derived functions; stop has done its work and goes.",
		After: []After{{"derive", "gradients are written without regard to cost, and need stop"}},
		Run:   each(simplifyLate),
	},
	{
		Name:  "cse.2",
		Doc:   "cse.2 is cse on the derived functions; it merges each loop with the one that keeps values for its gradient.",
		After: []After{{"simplify.2", "identities make values equal"}},
		Run:   each(cse),
	},
	{
		Name:  "batch",
		Doc:   "batch takes contractions out of loops: one large contraction instead of many small ones.",
		After: []After{{"cse.2", "operands that are collected already are not collected again"}},
		Run:   each(batch),
	},
	{
		Name:  "invariants.2",
		Doc:   "invariants.2 is invariants on the derived functions.",
		After: []After{{"cse.2", "equal invariants are moved once"}},
		Run:   each(invariants),
	},
	{
		Name:  "simplify.3",
		Doc:   "simplify.3 is simplify after loops have changed.",
		After: []After{{"batch", "what it takes out of loops meets what is there"}, {"invariants.2", "constants have come into loops"}},
		Run:   each(simplifyLate),
	},
	{
		Name:  "cse.3",
		Doc:   "cse.3 is cse after loops have changed.",
		After: []After{{"batch", "both directions of a loop take the same work out"}},
		Run:   each(cse),
	},
	{
		Name: "winograd",
		Doc:  "winograd writes convolutions with filters of 3 by 3 so that they take a quarter of the products.",
		After: []After{
			{"derive", "gradients are convolutions, too"},
			{"batch", "larger convolutions gain more"},
			{"cse.3", "a step would keep the transformed images, which are larger than the images, for its gradients"},
		},
		Run: winograd,
	},
	{
		Name:  "dce.2",
		Doc:   "dce.2 is dce on the derived functions: gradients that nobody asked for and values kept for them.",
		After: []After{{"cse.3", "what was merged away is unused"}},
		Run:   each(dce),
		Holds: noUnused,
	},
	{
		Name:  "prepare",
		Doc:   "prepare takes what inference computes from weights and constants alone out of it: it is computed when the weights have changed; loops of other functions get weights in panels.",
		After: []After{{"invariants.2", "loops have given away what is the same in every iteration"}, {"dce.2", "what nobody reads need not be prepared"}},
		Run:   prepare,
	},
}

// A Program is what passes work on: the functions of the model and of its
// training steps.
type Program struct {
	*ir.Module         // Entries and Samplers are replaced by passes; API is a copy
	Steps      []*Step // parallel to Trainers
	// After prepare:
	Prepared       []*Prepared
	PreparedValues []PreparedValue // by Index of bindings of kind PreparedKind
}

// A Step is a train block while it is turned into functions.
type Step struct {
	// Before derive.
	*ir.Trainer

	// Gradients is, after derive, the function of arguments, weights, states and key that gives:
	// the loss (f32: the mean over examples; without the penalty), the metrics, the gradient of
	// the loss for each weight in Update (GradKind), new states (WeightKind).
	//
	// If the trainer accumulates over micro-batches, the gradients so far are parameters, too
	// (GradKind), and so is the last scalar of the trainer, called accumulate: where it is 0 the
	// results are the gradients of this micro-batch, else it is added to those so far. Planned in
	// place that costs one read; nobody has to write zeros.
	Gradients *ir.Entry

	// Apply takes gradients, weights, moments, scalars (and the key, if an optimiser draws random
	// numbers) to new weights and new moments. It divides by the number of micro-batches, adds the gradient of the
	// penalty, clips, applies the rules and averages weights (the moments called ema).
	// After derive and before scalars, step, options and norm are parameters of kind StepParam, OptionParam and NormParam.
	Apply *ir.Entry

	// Direct is, after the pass direct, Gradients and Apply in one, without the gradients: what a
	// step does. Where it consumes dense gradients it gives the sum of their squares, too
	// (SquaresKind). It is nil where that is no gain.
	Direct *ir.Entry

	// Host takes the step (i32, from 0) and the options (f32 or i32) to the scalars, all f32, in
	// the order of API.Trainers[i].Scalars; accumulate is not among its results.
	Host *ir.Func
}

// Parameters of Apply that the pass scalars removes.
const (
	StepParam   ir.Kind = 100 + iota // the step, i32, from 0
	OptionParam                      // option Index of the trainer
	NormParam                        // the norm of the gradient, before it is clipped; it follows the options
)
