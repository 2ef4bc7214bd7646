package dns

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// upstream is a resolver in memory: it gets a query and returns the datagrams
// or messages it sends, raw.
type upstream func(network string, q *wire.Msg) [][]byte

// world is a Chooser and a Dialer whose networks are in memory.
type world struct {
	mu      sync.Mutex
	choice  Choice
	choose  func(Query) Choice
	servers map[string]upstream // "domain address"
	log     []asked
	work    sync.WaitGroup
}

// asked is one query that reached a resolver.
type asked struct {
	where string // "domain address network"
	msg   *wire.Msg
}

func newWorld(domains ...*pvd.Domain) *world {
	return &world{choice: Choice{Domains: domains, Reason: "test"}, servers: make(map[string]upstream)}
}

func (w *world) Choose(q Query, _ []*pvd.Domain) Choice {
	if w.choose != nil {
		return w.choose(q)
	}
	return w.choice
}

// at says how a resolver of a domain behaves; one that nobody described refuses.
func (w *world) at(d *pvd.Domain, i int, u upstream) {
	w.servers[d.Name+" "+d.Resolvers[i].Addr.String()] = u
}

// seen returns where queries arrived, in order.
func (w *world) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, a := range w.log {
		out = append(out, a.where)
	}
	return out
}

func (w *world) last() *wire.Msg {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log[len(w.log)-1].msg
}

func (w *world) Dial(ctx context.Context, d *pvd.Domain, network string, dst netip.AddrPort) (net.Conn, error) {
	u, ok := w.servers[d.Name+" "+dst.String()]
	if !ok {
		return nil, fmt.Errorf("connect: %w", net.ErrClosed)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	ours, theirs := net.Pipe()
	w.work.Go(func() {
		defer theirs.Close()
		w.serve(theirs, d.Name+" "+dst.Addr().String()+" "+network, network, u)
	})
	return ours, nil
}

// serve reads one query and sends what the resolver says to it; then it stays
// silent until the asker hangs up.
func (w *world) serve(c net.Conn, where, network string, u upstream) {
	var b []byte
	var err error
	if network == "tcp" {
		b, err = readMessage(c, wire.MaxMsgSize)
	} else {
		b = make([]byte, 65536)
		var n int
		n, err = c.Read(b)
		b = b[:n]
	}
	q := new(wire.Msg)
	if err != nil || q.Unpack(b) != nil {
		return
	}
	w.mu.Lock()
	w.log = append(w.log, asked{where, q})
	w.mu.Unlock()
	for _, m := range u(network, q) {
		if network == "tcp" {
			err = writeMessage(c, m)
		} else {
			_, err = c.Write(m)
		}
		if err != nil {
			return
		}
	}
	_, _ = io.Copy(io.Discard, c)
}

// domain makes a domain with both families and one resolver per address given.
func domain(slot uint16, name string, resolvers ...string) *pvd.Domain {
	d := &pvd.Domain{
		Name: name, Slot: slot, Attached: 1, State: pvd.Online, Internet: true,
		Addresses: []pvd.Address{
			{Prefix: netip.MustParsePrefix(fmt.Sprintf("192.168.%d.2/24", slot))},
			{Prefix: netip.MustParsePrefix(fmt.Sprintf("2001:db8:%d::2/64", slot))},
		},
		NextHops: []pvd.NextHop{{Is6: false}, {Is6: true}},
	}
	for _, r := range resolvers {
		d.Resolvers = append(d.Resolvers, pvd.Resolver{Addr: netip.AddrPortFrom(netip.MustParseAddr(r), 53)})
	}
	return d
}

// silent never answers.
func silent(string, *wire.Msg) [][]byte { return nil }

// answers gives the records (presentation format) to every question.
func answers(records ...string) upstream {
	return func(_ string, q *wire.Msg) [][]byte { return packed(respond(q, wire.RcodeSuccess, records...)) }
}

// says answers with an rcode and nothing else.
func says(rcode int) upstream {
	return func(_ string, q *wire.Msg) [][]byte { return packed(respond(q, rcode)) }
}

// after answers later.
func after(d time.Duration, u upstream) upstream {
	return func(network string, q *wire.Msg) [][]byte {
		time.Sleep(d)
		return u(network, q)
	}
}

func respond(q *wire.Msg, rcode int, records ...string) *wire.Msg {
	m := new(wire.Msg)
	m.SetRcode(q, rcode)
	m.RecursionAvailable = true
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(4096, opt.Do())
	}
	for _, r := range records {
		rr, err := wire.NewRR(r)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func packed(m *wire.Msg) [][]byte {
	m.Compress = true
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return [][]byte{b}
}

// start runs a server on the world until stop is called or the test ends.
func start(t *testing.T, w *world, change func(*Config)) (s *Server, stop func()) {
	t.Helper()
	cfg := Config{Chooser: w, Dialer: w}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
		w.work.Wait()
	})
	t.Cleanup(stop)
	for s.queries.closed() {
		time.Sleep(time.Millisecond)
	}
	return s, stop
}

// closed reports whether nothing is let in.
func (a *admission) closed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ctx == nil
}

func app() netip.AddrPort { return netip.MustParseAddrPort("198.18.0.1:40000") }

// query makes an EDNS query for name.
func query(name string, qtype uint16) *wire.Msg {
	m := new(wire.Msg)
	m.SetQuestion(name, qtype)
	m.SetEdns0(1232, false)
	return m
}

// ask sends a query as an app does and waits for the answer; nil if none comes.
func ask(t *testing.T, s *Server, q *wire.Msg) *wire.Msg {
	t.Helper()
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return askRaw(t, s, b)
}

func askRaw(t *testing.T, s *Server, b []byte) *wire.Msg {
	t.Helper()
	got := make(chan []byte, 1)
	s.ServeUDP(b, app(), func(a []byte) { got <- a })
	select {
	case a := <-got:
		m := new(wire.Msg)
		if err := m.Unpack(a); err != nil {
			t.Fatalf("the answer cannot be read: %v", err)
		}
		return m
	case <-time.After(20 * time.Second):
		return nil
	}
}

// brief puts an answer in one line: rcode, flags, records.
func brief(m *wire.Msg) string {
	if m == nil {
		return "none"
	}
	out := []string{wire.RcodeToString[m.Rcode]}
	if m.Truncated {
		out = append(out, "tc")
	}
	for _, rr := range m.Answer {
		out = append(out, strings.Join(strings.Fields(rr.String()), " "))
	}
	return strings.Join(out, "; ")
}

// reason returns the extended error code of an answer, -1 if it has none.
func reason(m *wire.Msg) int {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*wire.EDNS0_EDE); ok {
				return int(e.InfoCode)
			}
		}
	}
	return -1
}
