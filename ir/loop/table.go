package loop

// An Info is one row of Table.
type Info struct {
	Name   string
	Args   int
	Result func(args []*Val) Elem // nil-safe: decides the element type of the result
}

func same(args []*Val) Elem { return args[0].Elem }
func f32([]*Val) Elem       { return F32 }
func truth([]*Val) Elem     { return Bool }
func integer([]*Val) Elem   { return Int }
func second(a []*Val) Elem  { return a[1].Elem }

// Table defines the arithmetic of kernels.
var Table = [numOps]Info{
	Const: {Name: "const"}, Size: {Name: "size"},
	Add: {"add", 2, same}, Sub: {"sub", 2, same}, Mul: {"mul", 2, same}, Div: {"div", 2, same},
	Mod: {"mod", 2, same}, Min: {"min", 2, same}, Max: {"max", 2, same}, FMA: {"fma", 3, f32},
	Neg: {"neg", 1, same}, Abs: {"abs", 1, same}, Sign: {"sign", 1, same},
	Floor: {"floor", 1, f32}, Ceil: {"ceil", 1, f32}, Round: {"round", 1, f32}, Sqrt: {"sqrt", 1, f32},
	Exp: {"exp", 1, f32}, Expm1: {"expm1", 1, f32}, Log: {"log", 1, f32}, Log1p: {"log1p", 1, f32},
	Sin: {"sin", 1, f32}, Cos: {"cos", 1, f32}, Tan: {"tan", 1, f32},
	Asin: {"asin", 1, f32}, Acos: {"acos", 1, f32}, Atan: {"atan", 1, f32},
	Tanh: {"tanh", 1, f32}, Sigmoid: {"sigmoid", 1, f32}, Erf: {"erf", 1, f32}, Pow: {"pow", 2, f32},
	Lt: {"lt", 2, truth}, Le: {"le", 2, truth}, Eq: {"eq", 2, truth},
	And: {"and", 2, truth}, Or: {"or", 2, truth}, Not: {"not", 1, truth},
	Select: {"select", 3, second}, Convert: {Name: "convert", Args: 1},
	Check: {"check", 2, integer}, Fold: {"fold", 2, integer},
	Uniform: {"uniform", 3, f32}, Normal: {"normal", 3, f32},
}
