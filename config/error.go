package config

import (
	"fmt"
	"strings"
)

// Error is a configuration that is not valid: every problem that was found, each
// with its place.
type Error struct{ Problems []Problem }

// Problem is one thing that is wrong, in one line of the file.
type Problem struct {
	File      string
	Line, Col int
	Message   string // what is wrong (what is allowed)
	Source    string // the line itself, "" if there is none
}

// String returns the problem with its place, in one line.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Message)
}

// Error implements error: a line for each problem, with the file's line below.
func (e *Error) Error() string {
	var b strings.Builder
	for _, p := range e.Problems {
		p.write(&b)
	}
	return strings.TrimRight(b.String(), "\n")
}
