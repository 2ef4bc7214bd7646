package host

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"mifvif/netwatch/bus/bustest"
)

// fakeResolved is systemd-resolved as far as it is spoken to.
type fakeResolved struct {
	mu    sync.Mutex
	calls []string
	props *prop.Properties
	old   bool // does not know the newer methods
}

func (f *fakeResolved) note(format string, args ...any) *dbus.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return nil
}

func (f *fakeResolved) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fakeResolved) SetLinkDNS(i int32, list []linkServer) *dbus.Error {
	f.props.SetMust(resolvedLink, "DNS", list)
	return f.note("DNS %d %v", i, list)
}

func (f *fakeResolved) SetLinkDomains(i int32, list []routingDomain) *dbus.Error {
	return f.note("Domains %d %v", i, list)
}

func (f *fakeResolved) SetLinkDefaultRoute(i int32, on bool) *dbus.Error {
	if f.old {
		return dbus.NewError("org.freedesktop.DBus.Error.UnknownMethod", nil)
	}
	return f.note("DefaultRoute %d %v", i, on)
}

func (f *fakeResolved) SetLinkDNSOverTLS(i int32, how string) *dbus.Error {
	return f.note("DNSOverTLS %d %s", i, how)
}

func (f *fakeResolved) RevertLink(i int32) *dbus.Error { return f.note("Revert %d", i) }

func (f *fakeResolved) GetLink(int32) (dbus.ObjectPath, *dbus.Error) {
	return "/org/freedesktop/resolve1/link/_37", nil
}

// serveResolved puts a fake on the bus.
func serveResolved(t *testing.T, address string, f *fakeResolved) {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.Export(f, resolvedPath, resolvedManager); err != nil {
		t.Fatal(err)
	}
	manager := []anyServer{
		{0, 2, []byte{192, 0, 2, 1}},
		{2, 2, []byte{192, 0, 2, 53}},
		{2, 2, []byte{127, 0, 0, 1}},
		{3, 10, append([]byte{0xfe, 0x80}, make([]byte, 14)...)},
		{3, 2, []byte{1, 2}},
		{7, 2, []byte{198, 18, 0, 2}},
	}
	if _, err := prop.Export(conn, resolvedPath, prop.Map{resolvedManager: {"DNS": {Value: manager}}}); err != nil {
		t.Fatal(err)
	}
	f.props, err = prop.Export(conn, "/org/freedesktop/resolve1/link/_37", prop.Map{resolvedLink: {"DNS": {Value: []linkServer{}, Writable: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(resolvedName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
}

func TestResolvedIsTold(t *testing.T) {
	cfg := setting(t)
	cfg.Mode, cfg.Bus = Auto, bustest.Start(t)
	f := &fakeResolved{old: true}
	serveResolved(t, cfg.Bus, f)
	stub := "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n"
	write(t, cfg.Path, stub, 0o644)
	p := point(t, cfg)
	if p.How() != "resolved" || content(t, cfg.Path) != stub {
		t.Errorf("took %s, the file is %q: the stub's file must stay", p.How(), content(t, cfg.Path))
	}
	servers, err := LinkServers(t.Context(), cfg.Bus, 7)
	if err != nil || !slices.Equal(servers, ours()) {
		t.Errorf("the link's servers are %v (%v), want ours", servers, err)
	}
	if err := p.Restore(t.Context()); err != nil {
		t.Error(err)
	}
	want := []string{
		"DNSOverTLS 7 no",
		"DNS 7 [{2 [198 18 0 2]} {10 [32 1 0 2 0 0 0 0 0 0 0 0 0 0 0 2]}]", "Domains 7 [{. true}]", "Revert 7",
	}
	if got := f.seen(); !slices.Equal(got, want) {
		t.Errorf("resolved was told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFileIsPointedTooWhereItPassesResolvedBy(t *testing.T) {
	cfg := setting(t)
	cfg.Mode, cfg.Bus = Auto, bustest.Start(t)
	serveResolved(t, cfg.Bus, new(fakeResolved))
	write(t, cfg.Path, theirs, 0o644)
	if foreign(cfg.Path) {
		t.Skip("the test itself was started from another namespace")
	}
	p := point(t, cfg)
	if p.How() != "resolved+file" {
		t.Errorf("took %s", p.How())
	}
	if err := p.Restore(t.Context()); err != nil || content(t, cfg.Path) != theirs {
		t.Errorf("the file came back as %q (%v)", content(t, cfg.Path), err)
	}
}

func TestDiscoverAsksResolvedForLinks(t *testing.T) {
	cfg := setting(t)
	cfg.Bus = bustest.Start(t)
	serveResolved(t, cfg.Bus, new(fakeResolved))
	write(t, cfg.Path, "nameserver 127.0.0.53\n", 0o644)
	u := Discover(t.Context(), cfg, quiet())
	if got, want := fmt.Sprint(u.General, u.Links), "[192.0.2.1] map[2:[192.0.2.53] 3:[fe80::%3]]"; got != want {
		t.Errorf("the host knows %s, want %s", got, want)
	}
}

func TestForgetfulResolvedIsToldAgain(t *testing.T) {
	cfg := setting(t)
	cfg.Mode, cfg.Bus = Resolved, bustest.Start(t)
	f := new(fakeResolved)
	serveResolved(t, cfg.Bus, f)
	p := point(t, cfg)
	f.props.SetMust(resolvedLink, "DNS", []linkServer{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p.lookAtResolved(ctx)
	if ok, err := p.resolved.pointed(ctx, 7, ours()); !ok || err != nil {
		t.Errorf("resolved was not told again (%v)", err)
	}
	if err := p.Restore(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestResolvedOfAnotherNetworkIsLeftAlone(t *testing.T) {
	address := bustest.Start(t)
	f := new(fakeResolved)
	serveResolved(t, address, f)
	alone(t, 0x40000000, func(t *testing.T) { // CLONE_NEWNET
		t.Helper()
		r, err := dialResolved(t.Context(), address)
		if err == nil {
			r.close()
			t.Error("a resolved with other interface numbers was used")
		}
	})
	if got := f.seen(); len(got) != 0 {
		t.Errorf("it was told %v", got)
	}
}

func TestNoBus(t *testing.T) {
	cfg := setting(t)
	cfg.Mode = Resolved
	if _, err := Point(t.Context(), cfg, quiet()); err == nil {
		t.Error("no bus and no error")
	}
	if _, err := LinkServers(t.Context(), cfg.Bus, 7); err == nil {
		t.Error("no bus and no error")
	}
}

func TestBusThatSaysNothingIsNotWaitedForForever(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := dialResolved(ctx, "unix:path="+path); err == nil {
		t.Error("a silent bus answered")
	}
}
