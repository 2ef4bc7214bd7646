package networkmanager

import (
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mifvif/netwatch"
	"mifvif/netwatch/bus/bustest"
	"mifvif/pvd"
	"mifvif/pvd/pvdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func lines(r pvd.Report) []string {
	out := append([]string{string(r.Origin)}, pvdtest.Lines(r)...)
	if r.MTU > 0 {
		out = append(out, "mtu")
	}
	return out
}

// text are properties of strings, by name and value in turn.
func text(pairs ...string) map[string]dbus.Variant {
	p := make(map[string]dbus.Variant)
	for i := 0; i+1 < len(pairs); i += 2 {
		p[pairs[i]] = dbus.MakeVariant(pairs[i+1])
	}
	return p
}

func TestWhatIsKnownIsRestated(t *testing.T) {
	for title, test := range map[string]struct {
		known known
		want  [][]string
	}{
		"nothing": {known{}, [][]string{{"manager"}, {"dhcp4"}, {"dhcp6"}}},
		"a lease": {
			known{lease4: text(
				"routers", "192.0.2.1 192.0.2.9 0.0.0.0 nonsense", "domain_name_servers", "192.0.2.53 127.0.0.1", "ntp_servers", "192.0.2.123 224.0.0.1",
				"domain_search", "a.example.com b.example.com", "domain_name", "b.example.com", "interface_mtu", "1400",
			)},
			[][]string{{"manager"}, {"dhcp4", "hop 192.0.2.1", "hop 192.0.2.9", "dns 192.0.2.53", "ntp 192.0.2.123", "search a.example.com", "search b.example.com", "mtu"}, {"dhcp6"}},
		},
		"classless routes silence the routers": {
			known{lease4: text(
				"routers", "192.0.2.1", "rfc3442_classless_static_routes", "10.1.2.3/8 192.0.2.2 203.0.113.1/32 0.0.0.0 224.0.0.0/4 192.0.2.2 0.0.0.0/0 192.0.2.3 odd", "interface_mtu", "67",
			)},
			[][]string{{"manager"}, {"dhcp4", "hop 192.0.2.3", "route 10.0.0.0/8", "route 203.0.113.1/32"}, {"dhcp6"}},
		},
		"DHCPv6": {
			known{lease6: text("dhcp6_name_servers", "2001:db8::53 ff02::1", "dhcp6_domain_search", "six.example.com. bad..name")},
			[][]string{{"manager"}, {"dhcp4"}, {"dhcp6", "dns 2001:db8::53", "search six.example.com"}},
		},
		"resolvers and domains in force": {
			known{
				ip4: properties{
					"NameserverData": dbus.MakeVariant([]map[string]dbus.Variant{text("address", "192.0.2.53"), text("other", "x"), text("address", "127.0.0.53")}),
					"Searches":       dbus.MakeVariant([]string{"home.example.com", "~corp.example.com"}), "Domains": dbus.MakeVariant([]string{"isp.example", "~."}),
				},
				ip6: properties{"Nameservers": dbus.MakeVariant([][]byte{netip.MustParseAddr("2001:db8::53").AsSlice(), {1, 2}})},
			},
			[][]string{{"manager", "dns 192.0.2.53", "dns 2001:db8::53", "search home.example.com", "search isp.example", "zone corp.example.com"}, {"dhcp4"}, {"dhcp6"}},
		},
		"of an older version, and of wrong types": {
			known{
				ip4:    properties{"Nameservers": dbus.MakeVariant([]uint32{0x350200c0}), "Searches": dbus.MakeVariant(7)},
				lease4: properties{"routers": dbus.MakeVariant([]string{"192.0.2.1"})},
			},
			[][]string{{"manager", "dns 192.0.2.53"}, {"dhcp4"}, {"dhcp6"}},
		},
	} {
		var got [][]string
		for _, r := range test.known.reports(2, time.Time{}) {
			got = append(got, lines(r))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s:\n%s", title, diff)
		}
	}
}

func FuzzLease(f *testing.F) {
	f.Add("10.0.0.0/8 192.0.2.1 0.0.0.0/0 192.0.2.1", "192.0.2.53 2001:db8::53", "a.example ~b.example", "1400")
	f.Fuzz(func(t *testing.T, routes, servers, names, mtu string) {
		k := known{
			ip4: properties{"NameserverData": dbus.MakeVariant([]map[string]dbus.Variant{text("address", servers)}), "Searches": dbus.MakeVariant(strings.Fields(names))},
			lease4: text("rfc3442_classless_static_routes", routes, "routers", servers, "domain_name_servers", servers, "ntp_servers", servers,
				"domain_search", names, "interface_mtu", mtu),
			lease6: text("dhcp6_name_servers", servers, "dhcp6_domain_search", names),
		}
		for _, r := range k.reports(2, time.Time{}) {
			if len(r.Routes)+len(r.NextHops) > maxRoutes || len(r.Resolvers) > 16 || len(r.NTP) > 16 || len(r.Search) > 64 || len(r.Zones) > 64 || r.MTU < 0 {
				t.Fatalf("unbounded: %+v", r)
			}
		}
	})
}

// manager is NetworkManager as far as it is asked.
type manager struct{ devices []dbus.ObjectPath }

func (m *manager) GetDevices() ([]dbus.ObjectPath, *dbus.Error) { return m.devices, nil }

// lease is a DHCP4Config object.
type lease struct {
	conn    *dbus.Conn
	mu      sync.Mutex
	options map[string]dbus.Variant
}

func (l *lease) GetAll(string) (map[string]dbus.Variant, *dbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[string]dbus.Variant{"Options": dbus.MakeVariant(l.options)}, nil
}

// set replaces the options and says so.
func (l *lease) set(t *testing.T, options map[string]dbus.Variant) {
	t.Helper()
	l.mu.Lock()
	l.options = options
	l.mu.Unlock()
	if err := l.conn.Emit(leasePath, property+".PropertiesChanged", lease4, map[string]dbus.Variant{"Options": dbus.MakeVariant(options)}, []string{}); err != nil {
		t.Fatal(err)
	}
}

const leasePath = root + "/DHCP4Config/1"

// serve puts a NetworkManager with one device e1 on the bus, and a device that is
// on its way out.
func serve(t *testing.T, address string) (conn *dbus.Conn, own *lease) {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	export := func(path dbus.ObjectPath, iface string, of map[string]any) {
		t.Helper()
		props := make(map[string]*prop.Prop)
		for name, value := range of {
			props[name] = &prop.Prop{Value: value, Emit: prop.EmitTrue}
		}
		if _, err := prop.Export(conn, path, prop.Map{iface: props}); err != nil {
			t.Fatal(err)
		}
	}
	e1, e2 := root+"/Devices/1", root+"/Devices/2"
	none := dbus.ObjectPath("/")
	export(e1, device, map[string]any{
		"Interface": "usb0", "IpInterface": "e1", "State": uint32(100), "Ip4Config": root + "/IP4Config/1", "Ip6Config": none,
		"Dhcp4Config": leasePath, "Dhcp6Config": root + "/DHCP6Config/99", // gone
	})
	export(e2, device, map[string]any{"Interface": "e2", "State": uint32(110), "Ip4Config": root + "/IP4Config/1"})
	export(root+"/IP4Config/1", ip4, map[string]any{"NameserverData": []map[string]dbus.Variant{text("address", "192.0.2.54")}})
	own = &lease{conn: conn, options: text("domain_name_servers", "192.0.2.53")}
	if err := conn.Export(own, leasePath, property); err != nil {
		t.Fatal(err)
	}
	if err := conn.Export(&manager{[]dbus.ObjectPath{e1, e2, root + "/Devices/3"}}, root, service); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(service, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return conn, own
}

func TestNetworkManagerIsFollowed(t *testing.T) {
	address := bustest.Start(t)
	conn, own := serve(t, address)
	defer conn.Close()
	reports := make(chan pvd.Report, 100)
	s := New(Config{Bus: address, Deliver: func(r pvd.Report) { reports <- r }}, slog.New(slog.DiscardHandler))
	defer pvdtest.Run(t, s.Run)()
	s.Watch(netwatch.Link{Index: 2, Name: "e1"}, netwatch.Link{Index: 3, Name: "e2"})

	// until is the next report of an origin that says all of this.
	until := func(what string, want ...string) pvd.Report {
		t.Helper()
		for {
			select {
			case r := <-reports:
				if r.Ifindex != 2 {
					t.Errorf("nothing is known of another link: %+v", r)
				}
				if cmp.Equal(want, lines(r)) {
					return r
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%s: not heard", what)
			}
		}
	}
	until("resolvers in force", "manager", "dns 192.0.2.54")
	until("the lease", "dhcp4", "dns 192.0.2.53")
	own.set(t, text("domain_name_servers", "192.0.2.55"))
	until("the lease renewed", "dhcp4", "dns 192.0.2.55")
	conn.Close() // NetworkManager ends
	if r := until("the lease of one that is gone", "dhcp4"); !r.Until.Equal(r.Received) {
		t.Errorf("it is withdrawn: %+v", r)
	}
}
