package check

import "github.com/lmc-lang/lmc/ir"

// blocks compiles the train, generate and names blocks of the model.
func (c *checker) blocks(in *instance, m *ir.Module) {}
