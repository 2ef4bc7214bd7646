package main

import (
	"cmp"
	"slices"
	"strings"

	"mifvif/control"
)

// sorting says by what flows are sorted, the most first.
type sorting int

const (
	byRate sorting = iota
	byBytes
	byAge
)

func (s sorting) String() string { return [...]string{"rate", "bytes", "age"}[s] }

// compare puts the flow with more first, and equal ones always in the same order.
func (s sorting) compare(a, b *shown) int {
	c := 0
	switch s {
	case byRate:
		c = cmp.Compare(b.total(), a.total())
	case byAge:
		c = a.Started.Compare(b.Started)
	case byBytes: // as all others, where they are equal
	}
	return cmp.Or(c, cmp.Compare(b.bytes(), a.bytes()), a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
}

// flowList is the flows that are on the screen: sorted, filtered, one of them picked.
type flowList struct {
	all     []shown
	flows   []*shown // of all, sorted
	sorting sorting
	reverse bool
	pvd     string // only flows of this domain
	text    string // only flows that have it in what a person sees of them
	picked  string // the flow that the mark stays on; "": the first, whichever that is
	row     int    // of the mark
	offset  int    // of the first row on the screen
}

// arrange filters and sorts anew, and keeps the mark where it was.
func (l *flowList) arrange() {
	l.flows = l.flows[:0]
	text := strings.ToLower(l.text)
	for i := range l.all {
		if f := &l.all[i]; (l.pvd == "" || carriedBy(&f.Flow, l.pvd)) && (text == "" || mentions(&f.Flow, text)) {
			l.flows = append(l.flows, f)
		}
	}
	slices.SortFunc(l.flows, func(a, b *shown) int {
		if l.reverse {
			a, b = b, a
		}
		return l.sorting.compare(a, b)
	})
	if l.picked == "" {
		l.row = 0
		return
	}
	if i := slices.IndexFunc(l.flows, func(f *shown) bool { return f.ID == l.picked }); i >= 0 {
		l.row = i
		return
	}
	l.pick(l.row) // it has ended: on the next
}

// pick puts the mark on a row. On the first row it stays there and not with the flow.
func (l *flowList) pick(row int) {
	l.row, l.picked = max(0, min(row, len(l.flows)-1)), ""
	if l.row > 0 {
		l.picked = l.flows[l.row].ID
	}
}

// marked returns the flow under the mark, nil where there is none.
func (l *flowList) marked() *shown {
	if l.row >= len(l.flows) {
		return nil
	}
	return l.flows[l.row]
}

// sort sorts by something else, or the other way round.
func (l *flowList) sort(by sorting) {
	l.reverse = by == l.sorting && !l.reverse
	l.sorting = by
	l.arrange()
}

// nextDomain filters by the domain after the present one, and by none after the last.
func (l *flowList) nextDomain(all []control.PvD) {
	i := slices.IndexFunc(all, func(p control.PvD) bool { return p.Name == l.pvd })
	l.pvd = ""
	if i+1 < len(all) {
		l.pvd = all[i+1].Name
	}
	l.arrange()
}

// window returns the rows from the offset on that fit, the mark among them.
func (l *flowList) window(rows int) []*shown {
	rows = max(rows, 0)
	l.offset = max(min(l.offset, l.row, len(l.flows)-rows), l.row-rows+1, 0)
	l.offset = min(l.offset, len(l.flows))
	return l.flows[l.offset:min(l.offset+rows, len(l.flows))]
}

// carriedBy reports whether a flow runs over a domain, with others or alone.
func carriedBy(f *control.Flow, pvd string) bool {
	return f.PvD == pvd || slices.ContainsFunc(f.MPTCP.Paths, func(s control.Subflow) bool { return s.PvD == pvd })
}

// mentions reports whether a flow has a text, which is in lower case, in its id,
// names, addresses, owner or domain.
func mentions(f *control.Flow, text string) bool {
	return slices.ContainsFunc([]string{f.ID, f.Name, f.Src, f.Dst, f.Source, f.PvD, f.Owner.Process, f.Owner.Cgroup}, func(s string) bool {
		return strings.Contains(strings.ToLower(s), text)
	})
}
