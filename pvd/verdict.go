package pvd

import "time"

// Check is how the configuration has a domain validated. The zero Check leaves
// it to what the network says of itself.
type Check struct {
	URL      string        // answers 204 and nothing else, http or https
	Interval time.Duration // the longest time between two validations, 0: the usual
}

// Verdict is what validation found behind one domain instance (RFC 7556 5.3).
type Verdict struct {
	Connectivity Connectivity
	Reason       string // for people
	PortalURL    string // where a person logs in, "" if not known
	// API is the portal API that was known then (Domain.Portal.URI): what is found
	// without it proves nothing to a network that announces one later.
	API string
}

// Validated reports whether d is to be validated: it claims to lead to the
// Internet, and a packet could be sent by it.
func (d *Domain) Validated() bool {
	return d.Internet && d.Alive() && d.State != Offline && d.State != Disabled
}

// provable reports whether there is anything to validate d by.
func (d *Domain) provable() bool {
	return d.Portal.URI != "" || d.Check.URL != "" || len(d.Resolvers) > 0
}

// judge lays what validation found over what d looks like. A domain that nobody
// has looked behind yet gets no flows (RFC 6418 5.5: validate before use).
func (in *Inputs) judge(d *Domain) {
	if !in.Validating || !d.Validated() {
		return
	}
	v, ok := in.Verdicts[d.Key()]
	if !ok || d.Portal.URI != "" && v.API != d.Portal.URI {
		if d.provable() {
			d.State, d.Reason = Connecting, "it is being validated"
		}
		return
	}
	d.Connectivity, d.PortalURL = v.Connectivity, v.PortalURL
	switch v.Connectivity {
	case Portal:
		d.State, d.Reason = Captive, v.Reason
	case None:
		d.State, d.Reason = Degraded, v.Reason
	case Full:
		d.Reason = v.Reason
	}
}

// isolate keeps general flows off the domains without Internet behind them while
// another domain has it. Where none has, the probe may be at fault as well as
// the networks, and all are tried.
func isolate(domains []*Domain) {
	proven := false
	for _, d := range domains {
		proven = proven || d.State == Online && d.Connectivity == Full
	}
	for _, d := range domains {
		d.Isolated = proven && d.Connectivity == None
	}
}
