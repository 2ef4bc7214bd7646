package probe

import (
	"context"

	"mifvif/pvd"
)

// The reasons of verdicts, for people.
const (
	reasonLogin    = "the network wants a login"
	reasonOpen     = "the network says that it is open"
	reasonReached  = "the probe was answered"
	reasonSilent   = "the probe got no answer"
	reasonMadeUp   = "its resolvers make up addresses, as captive networks do"
	reasonUnproven = "nothing to prove the Internet by (check.url is not set)"
)

// unrestricted says that the network has no portal (RFC 8910 2).
const unrestricted = "urn:ietf:params:capport:unrestricted"

// validate asks a domain once. What the network's API says of a login is
// believed first; a probe that fails although the API says "open" means that
// there is no Internet (standards D.8).
func (w *watcher) validate(ctx context.Context, d *pvd.Domain) pvd.Verdict {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	open := d.Portal.URI == unrestricted
	if d.Portal.URI != "" && !open {
		state, err := w.ask(ctx, d, d.Portal.URI)
		switch {
		case err != nil: // as if there were no API (RFC 8908 4.1)
			w.log.Debug("the captive portal API cannot be used", "pvd", d.Name, "uri", d.Portal.URI, "error", err)
		case state.Captive:
			return pvd.Verdict{Connectivity: pvd.Portal, Reason: reasonLogin, PortalURL: state.UserPortalURL}
		default:
			open = true
		}
	}
	if d.Check.URL != "" {
		return w.fetch(ctx, d, d.Check.URL)
	}
	switch {
	case open:
		return pvd.Verdict{Connectivity: pvd.Full, Reason: reasonOpen}
	case w.madeUp(ctx, d):
		return pvd.Verdict{Connectivity: pvd.Portal, Reason: reasonMadeUp}
	}
	return pvd.Verdict{Connectivity: pvd.Unknown, Reason: reasonUnproven}
}
