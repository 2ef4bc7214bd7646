// Package control is how commands talk to the daemon: JSON over HTTP over a
// unix socket, and the rule that one network namespace has one daemon.
//
// The types here are the contract's: their keys are relied on by scripts. The
// package must not know the stations; it gets what it reports as functions.
package control
