package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// event is a line of `watch`.
type event struct{ Type, PvD, Detail string }

// stream is what `mifvif watch` has shown since it began.
type stream struct{ all func() []event }

// watch begins to watch, which a reload shows to be heard.
func (e *Env) watch(ctx context.Context) (*stream, error) {
	if e.Daemon == nil {
		return nil, errNoDaemon
	}
	lines, err := e.Daemon.Watch()
	if err != nil {
		return nil, err
	}
	all := func() (out []event) {
		for _, line := range lines() {
			var ev event
			if json.Unmarshal([]byte(line), &ev) == nil {
				out = append(out, ev)
			}
		}
		return out
	}
	return &stream{all}, within(ctx, func() error {
		if _, err := e.Daemon.CLI(ctx, "reload"); err != nil {
			return err
		}
		if len(all()) == 0 {
			return errors.New("watch shows nothing")
		}
		return nil
	})
}

// of returns the events so far of a type and a domain, "" for any.
func (s *stream) of(kind, domain string) []event {
	return slices.DeleteFunc(s.all(), func(e event) bool { return e.Type != kind || domain != "" && e.PvD != domain })
}

// once waits until there is one event of a type, and no more.
func (s *stream) once(ctx context.Context, kind, domain, says string) error {
	return within(ctx, func() error {
		got := s.of(kind, domain)
		if len(got) != 1 || !strings.Contains(got[0].Detail, says) {
			return fmt.Errorf("events %s of %s: %v, want one of %q", kind, domain, got, says)
		}
		return nil
	})
}
