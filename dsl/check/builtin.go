package check

import "github.com/lmc-lang/lmc/ir"

var builtins = map[string]*builtin{}

// convert is f32(x), or f32[B, T](x), which also fills.
func (c *checker) convert(e ir.Elem, call *callSite) value {
	if len(call.args) == 0 {
		c.silent()
	}
	return c.cast(c.asTensor(call.at, c.arg(&call.args[0]), e), e)
}
