package codegen

import (
	"fmt"
	"strings"
)

// fit prints the loop over batches.
func (t *trainer) fit(f *file, names, types []string, kv []string) {
	var fields, args []string
	s := newScope()
	for _, n := range names {
		fields = append(fields, s.pick(upper(n)))
	}
	for _, n := range fields {
		args = append(args, "b."+n)
	}
	decl := strings.Join(grouped(fields, types), "\n")
	f.add(`
// A $NameBatch is what one step of $Name trains on:
//
//	$signature
type $NameBatch struct {
	$fields
}

// Fit trains on one batch after another and yields what each step reports. It
// ends with the batches, or after the error of a context that is done; the
// weights are those after the last step. Other errors, of a batch or of its
// step, change nothing and are yielded, too: whoever goes on ranging skips that
// batch. A batch may reuse the memory of the one before.
func (s *$Name) Fit(ctx context.Context, batches iter.Seq2[$NameBatch, error]) iter.Seq2[$NameResult, error] {
	return func(yield func($NameResult, error) bool) {
		for b, err := range batches {
			if ctx.Err() != nil {
				yield($NameResult{Step: s.steps}, context.Cause(ctx))
				return
			}
			out := $NameResult{Step: s.steps}
			if err == nil {
				out, err = s.Step($batch)
			}
			if err == nil {
				s.batches++
			}
			if !yield(out, err) {
				return
			}
		}
	}
}`, append(kv, "fields", decl, "batch", strings.Join(args, ", "), "signature", t.signature())...)
}

// signature is the loss without what is carried over.
func (t *trainer) signature() string {
	var args []string
	for i, a := range t.Loss.Args {
		if _, ok := t.carried[i]; !ok {
			args = append(args, a.Name+" "+declared(a))
		}
	}
	return fmt.Sprintf("%s(%s)", t.Loss.Name, strings.Join(args, ", "))
}
