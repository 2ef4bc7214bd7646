package pvd

import "reflect"

// Equal reports whether two instances say the same in every field.
func Equal(a, b *Domain) bool { return a == b || a != nil && b != nil && reflect.DeepEqual(*a, *b) }

// Event is one change between two Sets, in the contract's words.
type Event struct {
	Type   string // pvd.added, pvd.removed, pvd.state or pvd.changed
	PvD    string
	Detail string
}

// Diff returns what changed from old to now, each change once, in order of name.
func Diff(old, now *Set) []Event {
	var events []Event
	for _, d := range old.All() {
		if now.ByName(d.Name) == nil {
			events = append(events, Event{"pvd.removed", d.Name, d.Reason})
		}
	}
	for _, d := range now.All() {
		switch was := old.ByName(d.Name); {
		case was == nil:
			events = append(events, Event{"pvd.added", d.Name, string(d.State) + ": " + d.Reason})
		case was.State != d.State:
			events = append(events, Event{"pvd.state", d.Name, string(was.State) + " -> " + string(d.State) + ": " + d.Reason})
		case !Equal(was, d):
			events = append(events, Event{"pvd.changed", d.Name, d.Reason})
		}
	}
	return events
}
