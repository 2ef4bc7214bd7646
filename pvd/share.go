package pvd

// share notes which domains are instances of one explicit domain on several links.
// An id is a claim that any network can make: only where it was proven, or the
// configuration trusts the network, it is the same domain's (RFC 7556 2.3, 7).
func share(domains []*Domain) {
	first := make(map[string]*Domain)
	for _, d := range domains {
		if !d.Explicit || d.Trust < Authenticated {
			continue
		}
		o := first[d.ID]
		if o == nil {
			first[d.ID] = d
			continue
		}
		if o.Interface != d.Interface {
			o.Shared, d.Shared = true, true
		}
	}
}
