package pvd

import "mifvif/netwatch"

// name gives every domain a name of its own: who has one keeps it, the others get
// the best that is free. A lost domain whose name another one has now is
// forgotten.
func (w *building) name(st netwatch.State) {
	links := make(map[string]netwatch.Link)
	for _, l := range st.Links {
		links[l.Name] = l
	}
	taken := make(map[string]bool)
	for _, d := range w.domains { // declared names are not for others
		if w.parts[d].decl != nil {
			d.Name = w.parts[d].decl.Name
			taken[d.Name] = true
		}
	}
	for _, old := range []bool{true, false} {
		for _, d := range w.domains {
			p, m := w.parts[d], w.known[w.parts[d].identity]
			if d.Ifindex == 0 || p.decl != nil || (m.last != nil) != old {
				continue
			}
			d.Name = choose(p.names(&w.discovery, links[d.Interface]), m.last, taken)
			taken[d.Name] = true
		}
	}
	kept := w.domains[:0]
	for _, d := range w.domains {
		if d.Ifindex == 0 && w.parts[d].decl == nil {
			if taken[d.Name] {
				w.drop(w.parts[d].identity)
				continue
			}
			taken[d.Name] = true
		}
		kept = append(kept, d)
	}
	w.domains = kept
}

// choose returns the name a domain had if it may still have it, else the first
// that is free, else the last.
func choose(names []string, last *Domain, taken map[string]bool) string {
	if last != nil {
		for _, n := range names {
			if n == last.Name && !taken[n] {
				return n
			}
		}
	}
	for _, n := range names {
		if !taken[n] {
			return n
		}
	}
	return names[len(names)-1]
}
