package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mifvif/pvd"
	"mifvif/scheduler"
)

// defaultLasting is where what must outlive a boot is kept.
const defaultLasting = "/var/lib/mifvif"

// lasting returns that place: with a state directory of its own everything of a
// daemon is there.
func lasting(state string) string {
	if state == defaultState {
		return defaultLasting
	}
	return state
}

// ledger is how much of its data cap each domain has used, by name. One goroutine
// uses it.
type ledger struct {
	path    string
	used    map[string]usage
	changed bool
}

// usage is what a domain carried since its cap began anew.
type usage struct {
	Since time.Time `json:"since"`
	Bytes uint64    `json:"bytes"`
}

// openLedger reads what was written down in dir; nothing if nothing was.
func openLedger(dir string) (*ledger, error) {
	l := &ledger{path: filepath.Join(dir, "caps.json"), used: make(map[string]usage)}
	b, err := os.ReadFile(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case err != nil:
		return nil, fmt.Errorf("read the use of data caps: %w", err)
	}
	if err := json.Unmarshal(b, &l.used); err != nil || l.used == nil {
		return nil, fmt.Errorf("read the use of data caps in %s (remove the file to count anew): %w", l.path, err)
	}
	return l, nil
}

// add counts octets against a domain's cap and reports whether it is used up.
func (l *ledger) add(name string, c pvd.Cap, octets uint64, now time.Time) bool {
	if c == (pvd.Cap{}) {
		return false
	}
	u := l.used[name]
	if begin := beginning(c.ResetDay, now); u.Since.Before(begin) {
		u = usage{Since: begin}
	}
	u.Bytes += octets
	l.used[name], l.changed = u, l.changed || octets > 0
	return u.Bytes >= c.Bytes
}

// beginning returns when a cap last began anew: midnight of its day, or of the
// last day of a month that has fewer.
func beginning(on int, now time.Time) time.Time {
	y, m, _ := now.Date()
	for {
		last := time.Date(y, m+1, 0, 0, 0, 0, 0, now.Location()).Day()
		if t := time.Date(y, m, min(on, last), 0, 0, 0, 0, now.Location()); !t.After(now) {
			return t
		}
		m--
	}
}

// spentCaps says whose data cap is used up, and what that means.
func spentCaps(domains []*pvd.Domain, load func(pvd.Key) scheduler.Load) []string {
	var out []string
	for _, p := range domains {
		switch {
		case !load(p.Key()).Spent:
		case p.Cap.Stop:
			out = append(out, fmt.Sprintf("%s has used up its data cap: it gets no new flows", p.Name))
		default:
			out = append(out, fmt.Sprintf("%s has used up its data cap: it is used only where nothing else is left", p.Name))
		}
	}
	return out
}

// write writes down what was counted, all of it or nothing.
func (l *ledger) write() error {
	if !l.changed {
		return nil
	}
	b, err := json.MarshalIndent(l.used, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the use of data caps: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return fmt.Errorf("make the directory of lasting counters: %w", err)
	}
	if err := os.WriteFile(l.path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the use of data caps: %w", err)
	}
	if err := os.Rename(l.path+".new", l.path); err != nil {
		return fmt.Errorf("write the use of data caps: %w", err)
	}
	l.changed = false
	return nil
}
