package lease_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mifvif/netwatch"
	"mifvif/pvd"
	"mifvif/pvd/lease"
	"mifvif/pvd/pvdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// old is a lease as systemd 252 lays it out, young as 259 does.
const (
	old = `# This is private data. Do not parse.
ADDRESS=10.1.0.2
NETMASK=255.255.255.0
ROUTER=10.1.0.1
SERVER_ADDRESS=10.1.0.1
T1=1800
T2=3150
LIFETIME=3600
DNS=10.1.0.53 127.0.0.1 10.1.0.54
NTP=10.1.0.123
DOMAINNAME=n1.example.com
DOMAIN_SEARCH_LIST=a.example.com b.example.com
CLASSLESS_ROUTES=0.0.0.0/0,10.1.0.1 10.66.0.0/24,10.1.0.1 10.67.0.1/32,0.0.0.0 nonsense
CLIENTID=ff00
`
	young = `{"Address":[10,1,0,2],"Netmask":[255,255,255,0],"Router":[[10,1,0,1]],"Server_Address":[10,1,0,1],"Lifetime":"1h",
"Servers":{"DNS":[[10,1,0,53],[127,0,0,1],[10,1,0,54]],"NTP":[[10,1,0,123]]},
"Classless_Routes":[{"Destination":[10,66,0,0],"Gateway":[10,1,0,1],"DestinationPrefixLength":24}]}`
)

// link is a link's file as systemd 252 lays it out.
const link = `# This is private data. Do not parse.
ADMIN_STATE=configured
OPER_STATE=routable
DNS=192.0.2.53 [2001:db8::53]:5353#dns.example.com fe80::1%2 127.0.0.53 192.0.2.53
DOMAINS=home.example.com
ROUTE_DOMAINS=corp.example.com . 10.in-addr.arpa
`

func TestLinksOfNetworkdAreRestated(t *testing.T) {
	r, err := lease.ParseLink([]byte(link), 2, time.Unix(1, 0))
	if err != nil || r.Origin != pvd.FromManager {
		t.Fatal(r, err)
	}
	got := pvdtest.Lines(r)
	want := []string{"dns 192.0.2.53", "dns 2001:db8::53", "dns fe80::1%2", "search home.example.com", "zone corp.example.com", "zone 10.in-addr.arpa"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := lease.ParseLink([]byte("no assignment"), 2, time.Unix(1, 0)); err == nil {
		t.Error("what is no state file is refused")
	}
}

func TestLeasesOfNetworkdAreRestated(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    []string
	}{
		"assignments": {old, []string{
			"hop 10.1.0.1", "hop 10.1.0.1", "route 10.66.0.0/24", "route 10.67.0.1/32", "dns 10.1.0.53", "dns 10.1.0.54", "ntp 10.1.0.123",
			"search a.example.com", "search b.example.com", "search n1.example.com",
		}},
		"JSON": {young, []string{"hop 10.1.0.1", "route 10.66.0.0/24", "dns 10.1.0.53", "dns 10.1.0.54", "ntp 10.1.0.123"}},
	} {
		r, err := lease.ParseLease([]byte(test.content), 2, time.Unix(1, 0))
		if diff := cmp.Diff(test.want, pvdtest.Lines(r)); diff != "" || err != nil || r.Origin != pvd.FromDHCPv4 || r.Ifindex != 2 {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestWhatIsNoLeaseIsRefused(t *testing.T) {
	for _, bad := range []string{"", "no assignment", "DNS=10.1.0.53\n", "{", `{"Address":[10,1,0]}`, `{"Address":[10,1,0,256]}`, strings.Repeat("A=b\n", 1<<16)} {
		if r, err := lease.ParseLease([]byte(bad), 2, time.Unix(1, 0)); err == nil {
			t.Errorf("%.20q is taken as %+v", bad, r)
		}
	}
}

func TestLeasesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	reports := make(chan pvd.Report, 10)
	s := lease.New(lease.Config{Directory: dir, Deliver: func(r pvd.Report) { reports <- r }}, slog.New(slog.DiscardHandler))
	defer pvdtest.Run(t, s.Run)()
	for name, content := range map[string]string{"leases/2": old, "links/3": link} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s.Watch(netwatch.Link{Index: 2, Name: "e1"}, netwatch.Link{Index: 3, Name: "e2"})
	if r := <-reports; r.Ifindex != 2 || len(r.Resolvers) != 2 {
		t.Errorf("the lease is %+v", r)
	}
	if r := <-reports; r.Ifindex != 3 || r.Origin != pvd.FromManager || len(r.Zones) != 2 {
		t.Errorf("the link is %+v", r)
	}
	if err := os.Remove(filepath.Join(dir, "leases", "2")); err != nil {
		t.Fatal(err)
	}
	s.Watch(netwatch.Link{Index: 2, Name: "e1"}) // e2 is gone, and e1's lease
	gone := []pvd.Report{<-reports, <-reports}
	if gone[0].Ifindex+gone[1].Ifindex != 5 || gone[0].Origin == gone[1].Origin {
		t.Errorf("withdrawn: %+v", gone)
	}
	if r := gone[0]; !r.Until.Equal(r.Received) || len(r.Resolvers) != 0 {
		t.Errorf("not withdrawn: %+v", r)
	}
}

func FuzzLease(f *testing.F) {
	f.Add([]byte(old))
	f.Add([]byte(young))
	f.Add([]byte(link))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, _ := lease.ParseLease(b, 2, time.Unix(1, 0))
		l, _ := lease.ParseLink(b, 2, time.Unix(1, 0))
		if len(r.Routes) > 64 || max(len(r.Resolvers), len(l.Resolvers)) > 16 || max(len(r.Search), len(l.Search), len(l.Zones)) > 64 {
			t.Fatal("unbounded")
		}
	})
}
