package passes

import (
	"errors"
	"fmt"

	"github.com/lmc-lang/lmc/ir/ops"
)

// A Mistake is an error in the model that only a pass can find.
type Mistake struct{ Msg string }

func (m *Mistake) Error() string { return m.Msg }

func mistake(format string, a ...any) error { return &Mistake{fmt.Sprintf(format, a...)} }

func isMistake(err error) bool {
	var m *Mistake
	var g *ops.GradientError
	return errors.As(err, &m) || errors.As(err, &g)
}
