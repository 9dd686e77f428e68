package cli

import "flag"

func trainFlags(*flag.FlagSet) func(*env) error {
	return func(e *env) error { return nil }
}
