package dhcp4

import (
	"context"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"mifvif/pvd/dhcp"
)

// When what a server said is asked for again: answers to DHCPINFORM have no
// lifetime.
const (
	refresh     = time.Hour
	askAgain    = 10 * time.Minute // where nobody answered
	informTries = 4
)

// inform asks for everything but the address, again and again, until ctx ends. A
// server that fell silent is believed as long as the address stays: it is the
// attachment that bounds what it said.
func (w *worker) inform(ctx context.Context) {
	own := w.link.Address
	for {
		var answered []netip.Addr
		_, ok, err := w.ask(ctx, asking{
			request: request{kind: dhcpv4.MessageTypeInform, client: own.Addr()},
			tries:   informTries,
			takes: func(a *Answer) bool {
				return a.Kind == dhcpv4.MessageTypeAck && (a.Client.IsUnspecified() || a.Client == own.Addr())
			},
			each: func(r reply, server netip.Addr) {
				report, refused := r.Report(w.link, own, time.Now())
				w.source.counts.objects.Add(uint64(refused))
				answered = append(answered, server)
				w.deliver(report)
			},
		})
		if err != nil {
			w.unusable(err)
		}
		next := askAgain
		if ok {
			w.servers.Keep(answered...)
			next = refresh
		}
		if !dhcp.Pause(ctx, next-dhcp.Jitter(next/20, next/20)) {
			return
		}
	}
}
