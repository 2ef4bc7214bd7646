package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"mifvif/lab"
	"mifvif/lab/nd"
	"mifvif/lab/serve"
)

// additionalRow is RFC 6418 6-5 for what networks say over HTTPS (RFC 8801 4): r3a
// is in order, r3b lies in every way there is, one after the other.
func additionalRow() Scenario {
	return Scenario{
		ID: "6-5", Title: "a network's additional information is believed only when it is proven, asked for at most once, and within it",
		Layout: offersInfo, Config: believesLab, Prepare: offerInfo, Run: provenOnly,
	}
}

const (
	authorityFile = "/run/mifvif-ca.pem"
	believesLab   = "discovery: {ca: " + authorityFile + "}\n"
	honest        = "a.example.org"
)

// offersInfo has both routers of the shared link name a domain with additional
// information.
func offersInfo() lab.Layout {
	return lab.TwoRouters(func(n lab.Network) nd.RA {
		if n.Name == "r3a" {
			return offer(n, honest, 1)
		}
		return n.PlainAdvert()
	})
}

// offer is what a router advertises of a domain with additional information.
func offer(n lab.Network, id string, sequence uint16) nd.RA {
	return n.PlainAdvert().With(nd.PvD{ID: id, HTTP: true, Sequence: sequence}.Option())
}

// lies is what r3b's domains say, by their ids.
func lies(e *Env) map[string]serve.Info {
	own := e.Network("r3b").Link6()
	return map[string]serve.Info{
		"certificate.example.com": {Body: about("certificate.example.com", own, time.Hour), Certificate: "other.example.com"},
		"identifier.example.com":  {Body: about(honest, own, time.Hour)},
		"uncovered.example.com":   {Body: about("uncovered.example.com", e.Network("r3a").Link6(), time.Hour)},
		"expired.example.com":     {Body: about("expired.example.com", own, -time.Hour)},
		"nothing.example.com":     {Body: "{}"},
	}
}

// about is an object of a domain that claims the zone below its name.
func about(id string, covers netip.Prefix, life time.Duration) string {
	return fmt.Sprintf(`{"identifier":"%s.","expires":"%s","prefixes":["%v"],"dnsZones":["corp.%s"]}`,
		id, time.Now().Add(life).UTC().Format(time.RFC3339), covers, id)
}

// offerInfo starts the servers of both networks.
func offerInfo(e *Env) error {
	authority, err := serve.NewAuthority()
	if err != nil {
		return err
	}
	e.info = make(map[string]*serve.Additional)
	names := map[string][]string{"r3a": {honest}}
	for id := range lies(e) {
		names["r3b"] = append(names["r3b"], id)
	}
	for _, n := range e.routers() {
		at := netip.PrefixFrom(n.Resolver6().Next(), 64)
		if err := e.Node(n.Name).AddAddress("lan", at); err != nil {
			return err
		}
		l, err := e.Node(n.Name).ListenTCP(netip.AddrPortFrom(at.Addr(), 443))
		if err != nil {
			return err
		}
		s := serve.NewAdditional(l, authority)
		e.OnClose(s.Close)
		e.info[n.Name] = s
		var records []string
		for _, id := range names[n.Name] {
			records = append(records, fmt.Sprintf("%s. AAAA %v", id, at.Addr()))
		}
		if err := e.AddRecords(n.Name, records...); err != nil {
			return err
		}
	}
	e.info["r3a"].Set(honest, serve.Info{Body: about(honest, e.Network("r3a").Link6(), time.Hour)})
	for id, lie := range lies(e) {
		e.info["r3b"].Set(id, lie)
	}
	return e.Host.WriteFile(authorityFile, authority.PEM())
}

func provenOnly(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	inside, err := e.watchErrands()
	if err != nil {
		return err
	}
	if err := within(ctx, func() error { return e.zoneOf(ctx, honest, true) }); err != nil {
		return err
	}
	sequence := uint16(1)
	for id := range lies(e) {
		sequence++
		e.Advertisers["r3b"].Set(offer(e.Network("r3b"), id, sequence))
		if err := later(ctx, func() error { return e.refusedInfo(ctx, id) }); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		// Another sequence number has a believed domain asked again, this one not.
		e.Advertisers["r3b"].Set(offer(e.Network("r3b"), id, sequence+100))
	}
	e.Advertisers["r3a"].Set(offer(e.Network("r3a"), honest, 2))
	if err := later(ctx, func() error { return e.asked("r3a", honest, 2) }); err != nil {
		return fmt.Errorf("after another sequence number: %w", err)
	}
	for id := range lies(e) { // ten seconds have passed: whoever asks again has done so
		if err := e.asked("r3b", id, 1); err != nil {
			return err
		}
	}
	if err := within(ctx, func() error { return e.zoneOf(ctx, honest, true) }); err != nil {
		return fmt.Errorf("after the second answer: %w", err)
	}
	return inside.verdict()
}

// later is within, for what takes the ten seconds that lie between two fetches, or
// five of a network (RFC 8801 4.1).
func later(ctx context.Context, f func() error) (err error) {
	for range 4 {
		if err = within(ctx, f); err == nil {
			return nil
		}
	}
	return err
}

// refusedInfo returns nil when a domain's information was asked for once and is
// not used.
func (e *Env) refusedInfo(ctx context.Context, id string) error {
	if err := e.asked("r3b", id, 1); err != nil {
		return err
	}
	return e.zoneOf(ctx, id, false)
}

// asked returns an error unless a network's server was asked for a domain's
// information that often, from addresses of that network only.
func (e *Env) asked(network, id string, want int) error {
	n := 0
	for _, q := range e.info[network].Log.Queries() {
		if owner := e.NetworkOf(q.Source.Addr()); owner != network {
			return fmt.Errorf("%s was asked from an address of %q: %v", network, owner, q)
		}
		if q.Name == id {
			n++
		}
	}
	if n != want {
		return fmt.Errorf("%s was asked %d times for %s, want %d", network, n, id, want)
	}
	return nil
}

// zoneOf returns an error unless a domain is there, and has the zone of its
// additional information or not.
func (e *Env) zoneOf(ctx context.Context, id string, want bool) error {
	all, err := e.domains(ctx)
	if err != nil {
		return err
	}
	d, ok := all[id]
	if !ok || !d.Explicit {
		return fmt.Errorf("there is no explicit domain %s", id)
	}
	has := false
	for _, o := range d.Objects {
		if o.Origin == "json" {
			has = o.Kind == "zone" && o.Value == "corp."+id && o.Lifetime != nil
		}
	}
	if has != want {
		return fmt.Errorf("%s has its zone: %v, want %v; it holds %+v", id, has, want, d.Objects)
	}
	return nil
}

// errands observes every uplink for what the house sends for its own needs: DNS,
// HTTP and HTTPS that left its network, or had another source.
type errands struct {
	strays map[string]*lab.Capture
	seen   *lab.Capture
}

func (e *Env) watchErrands() (*errands, error) {
	w := &errands{strays: make(map[string]*lab.Capture)}
	errand := ports(53, 80, 443, 853)
	for _, link := range []string{"e1", "e2", "e3"} {
		c, err := e.Host.Capture(link, func(r lab.Record) bool { return r.Out && errand(r) && e.strays(link, r) })
		if err != nil {
			return nil, err
		}
		w.strays[link] = c
	}
	var err error
	w.seen, err = e.Host.Capture("e3", func(r lab.Record) bool { return r.Out && errand(r) })
	return w, err
}

// strays reports whether a packet on a link is not from a network of that link to
// the same network.
func (e *Env) strays(link string, r lab.Record) bool {
	from := e.NetworkOf(r.Src)
	return from == "" || e.Network(from).Link != link || e.NetworkOf(r.Dst) != from
}

func (w *errands) verdict() error {
	for link, c := range w.strays {
		if err := nothing(c, "DNS, HTTP or HTTPS of another network, or with another's source, left by "+link); err != nil {
			return err
		}
	}
	if w.seen.Matched() < 20 {
		return errors.New("hardly any DNS and HTTPS was seen, so that nothing is proven")
	}
	return nil
}
