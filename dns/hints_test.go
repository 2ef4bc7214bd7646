package dns

import (
	"testing"

	wire "github.com/miekg/dns"
)

func TestServiceRecordsNameNoAddresses(t *testing.T) {
	const record = `www.example.net. 60 IN HTTPS 1 . alpn="h2" ipv4hint="203.0.113.80" ipv6hint="2001:db8::80"`
	const required = `www.example.net. 60 IN HTTPS 2 . mandatory="ipv4hint" ipv4hint="203.0.113.80"`
	one(t, answers(record, required), func(t *testing.T, s *Server, _ *world) {
		t.Helper()
		for range 2 {
			got := brief(ask(t, s, query("www.example.net.", wire.TypeHTTPS)))
			if want := `NOERROR; www.example.net. 60 IN HTTPS 1 . alpn="h2"; ` + required; got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
			q := query("www.example.net.", wire.TypeHTTPS)
			q.IsEdns0().SetDo()
			if got, want := brief(ask(t, s, q)), "NOERROR; "+record+"; "+required; got != want {
				t.Errorf("a client that checks got %s\nwant %s", got, want)
			}
		}
	})
}
