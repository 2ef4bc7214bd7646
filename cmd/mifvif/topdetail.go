package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// reading reports whether a text stands where the list was.
func (m *top) reading() bool { return m.help || m.detail != nil }

// text is what is read, in lines that fit the screen.
func (m *top) text() []string {
	text := topKeys
	if !m.help {
		text = m.told()
	}
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		for part := range strings.SplitSeq(ansi.WrapWc(visible(line), max(m.width, 1), ""), "\n") {
			out = append(out, m.line(part, ansi.NewStyle()))
		}
	}
	return out
}

// told is what is known of one flow: what it carries, and why it goes where it goes.
func (m *top) told() string {
	d := m.detail
	var text strings.Builder
	if i := slices.IndexFunc(m.list.all, func(f shown) bool { return f.ID == d.id }); i >= 0 {
		describe(&text, &m.list.all[i])
	} else {
		fmt.Fprintf(&text, "%s has ended\n", d.id)
	}
	fmt.Fprintln(&text)
	switch {
	case d.waiting:
		fmt.Fprintln(&text, "asking the daemon")
	case d.err != nil:
		fmt.Fprintln(&text, d.err)
	default:
		printExplanation(&text, d.explanation)
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// describe says what a flow carries and for whom.
func describe(w *strings.Builder, f *shown) {
	fmt.Fprintf(w, "%s  %s  %s  %s for %s\n", f.ID, f.Proto, paths(f.Flow), f.State, age(f.Started))
	fmt.Fprintf(w, "app  %s", f.Src)
	if f.Owner.PID != 0 {
		fmt.Fprintf(w, "  %s (pid %d, uid %d)  %s", f.Owner.Process, f.Owner.PID, f.Owner.UID, f.Owner.Cgroup)
	}
	fmt.Fprintf(w, "\ndown %s, %s   up %s, %s\n", f.inWords(f.down), amount(f.RxBytes), f.inWords(f.up), amount(f.TxBytes))
	rule := orDash(f.Rule)
	fmt.Fprintf(w, "over %s from %s  rule %s  reason: %s\n", f.PvD, f.Source, rule, f.Reason)
}
