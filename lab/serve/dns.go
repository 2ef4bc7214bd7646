package serve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// DNS is an authoritative server that also plays the access network's resolver:
// names in none of its zones do not exist for it.
type DNS struct {
	Log Log

	servers []*dns.Server
	serving sync.WaitGroup

	mu      sync.Mutex
	records map[string][]dns.RR // by lower-case owner
	silent  bool
	lie     netip.Addr // the address of every name, zero: the truth
}

// NewDNS starts to serve the records of zone, in master-file syntax with
// absolute names, on the given sockets, which the server owns. Either list may
// be empty.
func NewDNS(zone string, udp []net.PacketConn, tcp []net.Listener) (*DNS, error) {
	s := &DNS{}
	if err := s.SetZone(zone); err != nil {
		return nil, err
	}
	for _, c := range udp {
		s.servers = append(s.servers, &dns.Server{PacketConn: c, Handler: dns.HandlerFunc(s.answer)})
	}
	for _, l := range tcp {
		s.servers = append(s.servers, &dns.Server{Listener: l, Handler: dns.HandlerFunc(s.answer)})
	}
	for _, server := range s.servers {
		ready := make(chan struct{})
		server.NotifyStartedFunc = func() { close(ready) }
		s.serving.Go(func() { _ = server.ActivateAndServe() }) // ends with Close
		<-ready
	}
	return s, nil
}

// SetZone replaces all records.
func (s *DNS) SetZone(zone string) error {
	records := make(map[string][]dns.RR)
	parser := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	parser.SetDefaultTTL(60)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		owner := strings.ToLower(rr.Header().Name)
		records[owner] = append(records[owner], rr)
	}
	if err := parser.Err(); err != nil {
		return fmt.Errorf("read zone: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = records
	return nil
}

// SetSilent makes the server log queries but not answer.
func (s *DNS) SetSilent(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
}

// SetLie makes the server give every name one IPv4 address and no other record,
// as captive networks do; the zero Addr makes it honest again.
func (s *DNS) SetLie(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lie = a
}

func (s *DNS) answer(w dns.ResponseWriter, query *dns.Msg) {
	if len(query.Question) != 1 {
		reply := new(dns.Msg).SetRcode(query, dns.RcodeFormatError)
		_ = w.WriteMsg(reply)
		return
	}
	q := query.Question[0]
	src, err := netip.ParseAddrPort(w.RemoteAddr().String())
	if err != nil {
		return
	}
	s.Log.add(Query{Source: src, Via: w.RemoteAddr().Network(), Name: q.Name, Type: dns.TypeToString[q.Qtype]})
	reply, silent := s.reply(query, q)
	if silent {
		return
	}
	if w.RemoteAddr().Network() == "udp" {
		reply.Truncate(udpSize(query))
	}
	_ = w.WriteMsg(reply) // a client that went away
}

// reply looks a question up; aliases are followed inside the records.
func (s *DNS) reply(query *dns.Msg, q dns.Question) (reply *dns.Msg, silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply = new(dns.Msg).SetReply(query)
	reply.Authoritative, reply.RecursionAvailable = true, true
	name := strings.ToLower(q.Name)
	if s.lie.IsValid() {
		if q.Qtype == dns.TypeA {
			reply.Answer = append(reply.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: s.lie.AsSlice(),
			})
		}
		return reply, s.silent
	}
	for range 8 {
		all, exists := s.records[name]
		if !exists && len(reply.Answer) == 0 {
			reply.Rcode = dns.RcodeNameError
		}
		next := ""
		for _, rr := range all {
			if rr.Header().Rrtype == q.Qtype {
				reply.Answer = append(reply.Answer, rr)
			} else if alias, ok := rr.(*dns.CNAME); ok {
				reply.Answer = append(reply.Answer, rr)
				next = strings.ToLower(alias.Target)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	if len(reply.Answer) == 0 {
		reply.Ns = s.authority(name)
	}
	return reply, s.silent
}

// authority returns the SOA record of the zone that a name lies in, so that a
// denial can be kept (RFC 2308 3). s.mu is held.
func (s *DNS) authority(name string) []dns.RR {
	for {
		for _, rr := range s.records[name] {
			if rr.Header().Rrtype == dns.TypeSOA {
				return []dns.RR{rr}
			}
		}
		_, above, ok := strings.Cut(name, ".")
		if !ok || above == "" {
			return nil
		}
		name = above
	}
}

func udpSize(query *dns.Msg) int {
	if opt := query.IsEdns0(); opt != nil {
		return max(int(opt.UDPSize()), dns.MinMsgSize)
	}
	return dns.MinMsgSize
}

// Close ends the server.
func (s *DNS) Close() error {
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Shutdown())
	}
	s.serving.Wait()
	return errors.Join(errs...)
}
