package check

import "github.com/lmc-lang/lmc/ir"

func (b *block) names(m *ir.Module) {}
