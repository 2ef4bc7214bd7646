package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mifvif/lab"
	"mifvif/lab/nd"
	"mifvif/lab/serve"
)

// captiveRows are RFC 6418 4.1 and 4.4 where a network wants a login.
func captiveRows() []Scenario {
	return watched([]Scenario{
		{ID: "4.4-1", Title: "a network whose API says that it wants a login is used when the API says that it does not", Layout: announced, Config: withAPI, Run: apiDecides},
		{ID: "4.1-CP0", Title: "after the login names are asked anew and nothing learnt before is used", Layout: firstLater, Config: named, Run: afterLogin},
		{ID: "4.1-CP1", Title: "while a network wants a login the other's answers are not tried through it", Layout: firstLater, Config: named, Run: captiveUnused},
		{ID: "4.1-CP2", Title: "a captive network's answers reach no app but the portal's own", Layout: firstLater, Config: named, Run: captiveUnheard},
	})
}

// named calls the uplinks by their networks.
const named = `
pvds:
  - {name: n1, interface: e1, dns: {servers: [10.1.0.53]}}
  - {name: n2, interface: e2, dns: {servers: [10.2.0.53]}}
`

// firstLater has n1, ranked first by everyone, come later.
func firstLater() lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[0].Detached, l.Networks[0].Metric = true, 50
	return l
}

// attachCaptive has n1 come as a captive network, and waits until mifvif says
// so.
func (e *Env) attachCaptive(ctx context.Context) (*lab.Captive, error) {
	captive, err := e.MakeCaptive("n1")
	if err != nil {
		return nil, err
	}
	if err := e.Attach("n1"); err != nil {
		return nil, err
	}
	if e.Daemon == nil {
		return captive, e.WriteResolvConf()
	}
	return captive, within(ctx, func() error { return e.inState(ctx, "n1", "captive") })
}

// inState returns an error unless a domain is in a state.
func (e *Env) inState(ctx context.Context, name, state string) error {
	var status struct {
		PvDs []struct{ Name, State, Reason string } `json:"pvds"`
	}
	if err := e.JSON(ctx, &status, "status"); err != nil {
		return err
	}
	for _, d := range status.PvDs {
		if d.Name == name && d.State == state {
			return nil
		}
	}
	return fmt.Errorf("%s is not %s: %+v", name, state, status.PvDs)
}

// address asks the host's resolver for a name's IPv4 address, as a stub would;
// zero is an answer without one.
func (e *Env) address(name string) (netip.Addr, error) {
	server, err := e.resolver()
	if err != nil {
		return netip.Addr{}, err
	}
	conn, err := e.App.DialUDP(netip.AddrPortFrom(server, 53), lab.SocketOptions{})
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerWithin))
	client := dns.Conn{Conn: conn}
	if err := client.WriteMsg(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)); err != nil {
		return netip.Addr{}, err
	}
	reply, err := client.ReadMsg()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("ask for %s: %w", name, err)
	}
	for _, rr := range reply.Answer {
		if a, ok := rr.(*dns.A); ok {
			addr, _ := netip.AddrFromSlice(a.A)
			return addr.Unmap(), nil
		}
	}
	return netip.Addr{}, nil
}

// generalName is a name that every network knows.
const generalName = "www.example.net"

// nameless returns an error if an app is told any address of the general name.
func (e *Env) nameless() error {
	a, err := e.address(generalName)
	if err == nil && a.IsValid() {
		err = fmt.Errorf("an app is told that %s is %v", generalName, a)
	}
	return err
}

// truth returns an error unless the general name has its true address and a flow
// there is carried by network.
func (e *Env) truth(ctx context.Context, network string) error {
	a, err := e.address(generalName)
	if err != nil {
		return err
	}
	if a != lab.Public4() {
		return fmt.Errorf("%s has the address %v, want %v", generalName, a, lab.Public4())
	}
	return e.Carried(ctx, network, public4(lab.PortEcho), lab.SocketOptions{})
}

func captiveUnheard(ctx context.Context, e *Env) error {
	captive, err := e.attachCaptive(ctx)
	if err != nil {
		return err
	}
	for range 20 {
		if err := e.truth(ctx, "n2"); err != nil {
			return err
		}
	}
	if err := e.throughPortal(ctx, captive); err != nil {
		return err
	}
	if err := e.Detach("n2"); err != nil { // n1 is alone now
		return err
	}
	if err := within(ctx, func() error { return e.inState(ctx, "n2", "offline") }); err != nil {
		return err
	}
	if err := e.nameless(); err != nil {
		return fmt.Errorf("with the captive network alone: %w", err)
	}
	if t, err := e.Ask(ctx, public4(lab.PortEcho), lab.SocketOptions{}); err == nil {
		return fmt.Errorf("with the captive network alone a flow was carried by %q", t.Network)
	}
	for _, q := range captive.Web.Log.Queries() {
		if q.Name != portalPage {
			return fmt.Errorf("the portal was asked %v by an app that did not mean it", q)
		}
	}
	return nil
}

const portalPage = "/login"

// throughPortal opens the portal as a person does, and has it say whom it saw.
func (e *Env) throughPortal(ctx context.Context, captive *lab.Captive) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	exit, err := e.Daemon.CLI(ctx, "portal", "n1", "--", "curl", "-s", "http://any.example.org"+portalPage)
	if err != nil || exit.Code != 0 {
		return fmt.Errorf("mifvif portal n1: %v, %w", exit, err)
	}
	src, network, ok := serve.ParseSeen(strings.TrimSpace(exit.Stdout))
	if !ok || network != lab.PortalName("n1") || src.Addr() != e.Network("n1").Host4() {
		return fmt.Errorf("the portal's page is %q, want one of %s that has seen %v", exit.Stdout, lab.PortalName("n1"), e.Network("n1").Host4())
	}
	if len(captive.Web.Log.For(portalPage)) == 0 {
		return fmt.Errorf("the portal at %v has not been asked", captive.Portal)
	}
	return nil
}

func captiveUnused(ctx context.Context, e *Env) error {
	if _, err := e.attachCaptive(ctx); err != nil {
		return err
	}
	elsewhere, err := e.Host.Capture("e1", func(r lab.Record) bool { return r.Dst == lab.Public4() || r.Dst == lab.Public6() })
	if err != nil {
		return err
	}
	defer elsewhere.Close()
	for range 50 {
		if err := e.truth(ctx, "n2"); err != nil {
			return err
		}
	}
	return nothing(elsewhere, "the captive network was tried")
}

func afterLogin(ctx context.Context, e *Env) error {
	captive, err := e.attachCaptive(ctx)
	if err != nil {
		return err
	}
	if err := e.Detach("n2"); err != nil {
		return err
	}
	if err := e.nameless(); err != nil {
		return fmt.Errorf("before the login: %w", err)
	}
	captive.LogIn()
	if e.Daemon != nil {
		login, err := e.Daemon.CLI(ctx, "portal", "n1", "--", "true") // a person says so
		if err != nil || login.Code != 0 {
			return fmt.Errorf("mifvif portal n1: %v, %w", login, err)
		}
	}
	if err := within(ctx, func() error { return e.inState(ctx, "n1", "online") }); err != nil {
		return err
	}
	before := len(e.Resolvers["n1"].Log.For(generalName))
	if err := e.truth(ctx, "n1"); err != nil {
		return err
	}
	if after := len(e.Resolvers["n1"].Log.For(generalName)); after == before {
		return fmt.Errorf("n1's resolver was not asked anew after the login")
	}
	return nil
}

// The captive portal API of n1, which its router announces (RFC 8910 2.3).
const (
	apiName = "cp.n1.example.com"
	apiPage = "/api"
	apiType = "application/captive+json"
)

// announced has n1's router announce the API, and come later.
func announced() lab.Layout {
	l := firstLater()
	l.Networks[0].Advert = func(n lab.Network) nd.RA {
		return n.PlainAdvert().With(nd.Portal("https://" + apiName + apiPage))
	}
	return l
}

const withAPI = `
discovery: {ca: /run/mifvif-ca.pem}
` + named

// apiDecides has n1's API say that a login is needed, and then that it is not.
func apiDecides(ctx context.Context, e *Env) error {
	n1 := e.Network("n1")
	at := n1.Resolver4()
	if err := e.AddRecords("n1", fmt.Sprintf("%s. A %v", apiName, at)); err != nil {
		return err
	}
	api, err := e.ServePages(e.Node("n1"), at, apiName)
	if err != nil {
		return err
	}
	say := func(captive bool) {
		api.Set(apiPage, serve.Page{Type: apiType, Body: fmt.Sprintf(`{"captive": %v, "user-portal-url": "https://%s/login"}`, captive, apiName)})
	}
	say(true)
	if err := e.Attach("n1"); err != nil {
		return err
	}
	if e.Daemon != nil {
		if err := within(ctx, func() error { return e.inState(ctx, "n1", "captive") }); err != nil {
			return err
		}
	}
	for range 20 {
		if err := e.truth(ctx, "n2"); err != nil {
			return err
		}
	}
	say(false)
	if err := patiently(ctx, pollWithin, func() error { return e.inState(ctx, "n1", "online") }); err != nil {
		return err
	}
	if err := e.Detach("n2"); err != nil {
		return err
	}
	if err := within(ctx, func() error { return e.truth(ctx, "n1") }); err != nil {
		return err
	}
	for _, q := range api.Log.Queries() {
		if !n1.Owns(q.Source.Addr()) {
			return fmt.Errorf("the API was asked from %v, which is not n1's", q.Source)
		}
	}
	return nil
}

// pollWithin is how soon a network that needs no login any more is used.
const pollWithin = 15 * time.Second
