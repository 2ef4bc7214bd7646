package probe

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"mifvif/pvd"
	"mifvif/uplinks/inside"
)

// network is a domain's network in memory: its names, and the pages of whatever
// server is connected to.
type network struct {
	mu    sync.Mutex
	names map[string]string // "*": every other name
	pages func(*http.Request) (status int, header http.Header, body string)
	asked []string // names and pages, in order
	work  sync.WaitGroup
}

var errSilent = errors.New("no answer")

func (n *network) lookup(_ context.Context, _ *pvd.Domain, name string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, name)
	a, ok := n.names[name]
	if !ok {
		if a, ok = n.names["*"]; !ok {
			return nil, errors.New("no such name")
		}
	}
	return []netip.Addr{netip.MustParseAddr(a)}, nil
}

// dial connects to a server that answers one request by pages.
func (n *network) dial(_ context.Context, _ *pvd.Domain, _ string, _ netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	pages := n.pages
	n.mu.Unlock()
	if pages == nil {
		return nil, errSilent
	}
	ours, theirs := net.Pipe()
	n.work.Go(func() {
		defer theirs.Close()
		req, err := http.ReadRequest(bufio.NewReader(theirs))
		if err != nil {
			return
		}
		n.mu.Lock()
		n.asked = append(n.asked, req.Host+req.URL.Path)
		n.mu.Unlock()
		status, header, body := pages(req)
		resp := &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: header, ContentLength: int64(len(body)), Body: bodyOf(body), Close: true}
		_ = resp.Write(theirs) // whoever asked may have gone
	})
	return ours, nil
}

// always answers every request alike.
func always(status int, location, body string) func(*http.Request) (int, http.Header, string) {
	return func(*http.Request) (int, http.Header, string) {
		h := http.Header{}
		if location != "" {
			h.Set("Location", location)
		}
		return status, h, body
	}
}

func domain(change func(*pvd.Domain)) *pvd.Domain {
	d := &pvd.Domain{
		Name: "wifi", Slot: 1, Attached: 1, State: pvd.Online, Internet: true,
		Addresses: []pvd.Address{{Prefix: netip.MustParsePrefix("192.0.2.2/24")}},
		NextHops:  []pvd.NextHop{{Addr: netip.MustParseAddr("192.0.2.1")}},
		Resolvers: []pvd.Resolver{{Addr: netip.MustParseAddrPort("192.0.2.53:53")}},
	}
	if change != nil {
		change(d)
	}
	return d
}

// validator returns one over the network whose verdicts arrive in the channel.
func validator(t *testing.T, n *network) (*Validator, <-chan pvd.Verdict) {
	t.Helper()
	verdicts := make(chan pvd.Verdict, 64)
	v, err := New(Config{
		Network: inside.Network{Dial: n.dial, Lookup: n.lookup},
		Deliver: func(_ pvd.Key, found pvd.Verdict) { verdicts <- found },
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return v, verdicts
}
