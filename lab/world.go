package lab

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// A World holds nodes and everything made in them. Its methods may be called
// from several goroutines.
type World struct {
	log *slog.Logger

	mu      sync.Mutex
	nodes   []*Node
	closers []func() error // run in reverse order
}

// New returns an empty world. A nil log is silent.
func New(log *slog.Logger) *World {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &World{log: log}
}

// Node returns the node of that name, nil if there is none.
func (w *World) Node(name string) *Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Nodes returns all nodes in the order in which they were made.
func (w *World) Nodes() []*Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.nodes)
}

// onClose remembers what Close must do; the last is done first.
func (w *World) onClose(f func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closers = append(w.closers, f)
}

// OnClose has f called by Close before the nodes end; servers use it. The last
// f given is called first.
func (w *World) OnClose(f func() error) { w.onClose(f) }

// Close ends everything in the world: children, servers, wires, nodes. After
// it nothing of the world is left; a second call does nothing.
func (w *World) Close() error {
	w.mu.Lock()
	closers := w.closers
	w.closers = nil
	w.mu.Unlock()
	var errs []error
	for _, f := range slices.Backward(closers) {
		errs = append(errs, f())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the world: %w", err)
	}
	return nil
}
