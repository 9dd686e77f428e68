module example.com/programs

go 1.26.0

tool github.com/lmc-lang/lmc/cmd/lmc

require github.com/lmc-lang/lmc v0.0.0

require (
	github.com/alecthomas/participle/v2 v2.1.4 // indirect
	github.com/dave/jennifer v1.7.1 // indirect
)

replace github.com/lmc-lang/lmc => ../..
