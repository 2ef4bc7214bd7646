package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/control"
	"mifvif/lab"
	"mifvif/lab/labtest"
)

// site is the common laboratory with a daemon in its host, which is this test's
// own binary.
type site struct {
	*lab.Common
	t      *testing.T
	binary string
	daemon *lab.Daemon
}

// newSite builds the laboratory and starts the daemon.
func newSite(t *testing.T, config string) *site {
	t.Helper()
	labtest.Need(t)
	binary, err := exec.LookPath("mifvif") // by testscript.Main
	must(t, err)
	c, err := lab.NewCommon(lab.TwoNetworks(), nil)
	must(t, err)
	s := &site{Common: c, t: t, binary: binary}
	t.Cleanup(func() { must(t, c.Close()) })
	s.start(config)
	return s
}

func (s *site) start(config string, args ...string) {
	s.t.Helper()
	var err error
	s.daemon, err = s.Host.StartDaemon(s.t.Context(), s.binary, config, args...)
	must(s.t, err)
}

// cli runs a command against the daemon.
func (s *site) cli(args ...string) lab.Exit {
	s.t.Helper()
	exit, err := s.Host.Mifvif(s.t.Context(), s.binary, args...)
	must(s.t, err)
	return exit
}

func (s *site) status() (st control.Status) {
	s.t.Helper()
	exit := s.cli("status", "--json")
	if exit.Code != 0 {
		s.t.Fatalf("status: %v", exit)
	}
	must(s.t, json.Unmarshal([]byte(exit.Stdout), &st))
	return st
}

// ip runs ip(8) in the host.
func (s *site) ip(args ...string) {
	s.t.Helper()
	exit, err := s.Host.Exec(s.t.Context(), "ip", args...)
	must(s.t, err)
	if exit.Code != 0 {
		s.t.Fatalf("ip %s: %v", strings.Join(args, " "), exit)
	}
}

// throughMif0 reports whether both families are drawn into mif0.
func (s *site) throughMif0() bool {
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		if link, err := s.Host.RouteOf(dst, netip.Addr{}); err != nil || link != "mif0" {
			return false
		}
	}
	return true
}

// eventually waits until true is, which it must be within a generous while.
func (s *site) eventually(what string, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain: %s\n%s", what, s.daemon.Log())
		}
	}
}

var must = labtest.Must

const onlyE1 = "rules: [{name: all, match: {port: [7]}, require: [e1]}]\n"

// TestFlowsOfAnAddressThatIsGoneAreReset: a lease ends and another begins, while
// the other family's address stays.
func TestFlowsOfAnAddressThatIsGoneAreReset(t *testing.T) {
	s := newSite(t, onlyE1)
	dial := func(dst netip.Addr) *echo {
		conn, err := s.Host.DialTCP(t.Context(), netip.AddrPortFrom(dst, lab.PortEcho), lab.SocketOptions{})
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		e := &echo{t: t, conn: conn}
		e.hear()
		return e
	}
	old, other := dial(lab.Public4()), dial(lab.Public6())
	udp, err := s.Host.DialUDP(netip.AddrPortFrom(lab.Public4(), lab.PortEcho), lab.SocketOptions{})
	must(t, err)
	defer udp.Close()
	asked := &echo{t: t, conn: udp}
	if got := asked.say(); !strings.Contains(got, "10.1.0.2:") {
		t.Fatalf("the datagram was seen as %q", got)
	}
	s.ip("addr", "del", "10.1.0.2/24", "dev", "e1")
	s.ip("addr", "add", "10.1.0.44/24", "dev", "e1")
	s.ip("route", "replace", "default", "via", "10.1.0.1", "dev", "e1", "metric", "100")
	must(t, old.conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	if _, err := old.conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a flow whose source address is gone reads %v, want a reset", err)
	}
	if got := other.say(); got == "" {
		t.Error("a flow of the other family was harmed")
	}
	s.eventually("the datagrams leave with the new address", func() bool { return strings.Contains(asked.say(), "10.1.0.44:") })
}

// TestSourceIsWhatTheRouterKnows: an uplink has another address, for a modem's pages
// or a service that moves between hosts, of which its router knows nothing.
func TestSourceIsWhatTheRouterKnows(t *testing.T) {
	s := newSite(t, onlyE1)
	seen := func() string {
		conn, err := s.Host.DialTCP(t.Context(), netip.AddrPortFrom(lab.Public4(), lab.PortEcho), lab.SocketOptions{})
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		return (&echo{t: t, conn: conn}).hear()
	}
	s.ip("addr", "add", "10.0.0.6/24", "dev", "e1")
	s.ip("addr", "add", "10.1.0.0/24", "dev", "e1") // a second one; it sorts first, as the one above
	s.ip("addr", "add", "10.1.0.44/24", "dev", "e1")
	s.eventually("the addresses are known", func() bool {
		return slices.ContainsFunc(s.status().PvDs, func(p control.PvD) bool { return p.Name == "e1" && len(p.Sources) == 5 })
	})
	if got := seen(); !strings.Contains(got, "10.1.0.2:") {
		t.Errorf("the server saw %q, want the address in the router's prefix", got)
	}
	s.ip("route", "replace", "default", "via", "10.1.0.1", "dev", "e1", "metric", "100", "src", "10.1.0.44")
	s.eventually("the server sees the address that the route names", func() bool { return strings.Contains(seen(), "10.1.0.44:") })
}

// TestOthersRulesBySourceStayInForce: a host that had several networks before has a
// table for each address, and no second default route in main.
func TestOthersRulesBySourceStayInForce(t *testing.T) {
	s := newSite(t, "")
	e1 := map[bool]netip.Addr{false: netip.MustParseAddr("10.1.0.2"), true: netip.MustParseAddr("2001:db8:1::2")}
	for is6, gateway := range map[bool]string{false: "10.1.0.1", true: "fe80::1"} {
		family := "-4"
		if is6 {
			family = "-6"
		}
		s.ip(family, "route", "del", "default", "dev", "e1")
		s.ip(family, "route", "add", "default", "via", gateway, "dev", "e1", "table", "100")
		s.ip(family, "rule", "add", "from", e1[is6].String(), "lookup", "100", "priority", "30000")
	}
	leads := func(src netip.Addr, to string) func() bool {
		return func() bool {
			dst := lab.Public4()
			if src.Is6() {
				dst = lab.Public6()
			}
			link, err := s.Host.RouteOf(dst, src)
			return err == nil && link == to
		}
	}
	for is6, src := range e1 {
		s.eventually(src.String()+" leaves by its own network", leads(src, "e1"))
		dst := lab.Public4()
		if is6 {
			dst = lab.Public6()
		}
		conn, err := s.Host.DialTCP(t.Context(), netip.AddrPortFrom(dst, lab.PortEcho), lab.SocketOptions{Source: netip.AddrPortFrom(src, 0)})
		must(t, err)
		if got := (&echo{t: t, conn: conn}).hear(); !strings.Contains(got, "NET=n1") {
			t.Errorf("a connection from %s was seen as %q", src, got)
		}
		conn.Close()
	}
	if !s.throughMif0() {
		t.Error("apps that bind nothing are not drawn into mif0 any more")
	}
	s.ip("rule", "del", "from", "10.1.0.2", "lookup", "100")
	s.eventually("without the rule its address is nobody's", leads(e1[false], "mif0"))
	s.ip("rule", "add", "from", "10.1.0.2", "ipproto", "udp", "lookup", "100", "priority", "30000")
	time.Sleep(200 * time.Millisecond) // nothing is to happen
	if !leads(e1[false], "mif0")() {
		t.Error("a rule that is about UDP only is taken for all")
	}
	must(t, s.daemon.Stop(t.Context()))
	snapshot, err := s.Host.Exec(t.Context(), "ip", "rule")
	if must(t, err); strings.Contains(snapshot.Stdout, "641") {
		t.Errorf("rules are left:\n%s", snapshot.Stdout)
	}
}

// TestAnUplinkIsDeletedAndMadeAgain under traffic: its flows end, those of the
// other uplink notice nothing, and it is used again when it is there again.
func TestAnUplinkIsDeletedAndMadeAgain(t *testing.T) {
	s := newSite(t, "rules: [{name: one, match: {port: 7}, require: [e1]}, {name: two, match: {port: 7002}, require: [e2]}]\n")
	dial := func(port uint16) (*echo, error) {
		conn, err := s.Host.DialTCP(t.Context(), netip.AddrPortFrom(lab.Public4(), port), lab.SocketOptions{})
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { conn.Close() })
		e := &echo{t: t, conn: conn}
		e.hear()
		return e, nil
	}
	steady, err := dial(7002)
	must(t, err)
	udp, err := s.Host.DialUDP(netip.AddrPortFrom(lab.Public4(), lab.PortEcho), lab.SocketOptions{})
	must(t, err)
	defer udp.Close()
	asked := &echo{t: t, conn: udp}
	// For the host a link that is in another namespace is not there.
	away, err := s.Node("n1").Start(exec.Command("sleep", "60"))
	must(t, err)
	home, err := s.Host.Start(exec.Command("sleep", "60"))
	must(t, err)
	for range 3 {
		lost, err := dial(lab.PortEcho)
		must(t, err)
		if got := asked.say(); !strings.Contains(got, "10.1.0.2:") {
			t.Fatalf("the datagram was seen as %q", got)
		}
		s.ip("link", "set", "e1", "netns", strconv.Itoa(away.Pid()))
		must(t, lost.conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		if _, err := lost.conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a flow whose uplink is gone reads %v, want a reset", err)
		}
		if steady.say() == "" {
			t.Error("a flow of the other uplink was harmed")
		}
		if _, err := dial(lab.PortEcho); err == nil {
			t.Error("a flow that requires an uplink that is gone was carried")
		}
		exit, err := s.Node("n1").Exec(t.Context(), "ip", "link", "set", "e1", "netns", strconv.Itoa(home.Pid()))
		must(t, err)
		if exit.Code != 0 {
			t.Fatalf("%v", exit)
		}
		must(t, s.LinkUp("n1"))
		s.eventually("the uplink is used again", func() bool {
			e, err := dial(lab.PortEcho)
			return err == nil && e.say() != ""
		})
		if steady.say() == "" {
			t.Error("a flow of the other uplink was harmed")
		}
	}
	must(t, s.daemon.Stop(t.Context()))
}

// TestWhatOthersDoToMif0IsUndone: without its addresses or link mif0 draws
// nothing, and everything would leave by the kernel's own routes.
func TestWhatOthersDoToMif0IsUndone(t *testing.T) {
	s := newSite(t, "")
	before, err := s.Host.Snapshot()
	must(t, err)
	for what, damage := range map[string][]string{
		"its IPv4 address is deleted": {"addr", "del", "198.18.0.1/15", "dev", "mif0"},
		"its IPv6 address is deleted": {"addr", "del", "2001:2::1/48", "dev", "mif0"},
		"its addresses are flushed":   {"addr", "flush", "dev", "mif0", "scope", "global"},
		"it is set down":              {"link", "set", "mif0", "down"},
		"its MTU is changed":          {"link", "set", "mif0", "mtu", "9000"},
	} {
		s.ip(damage...)
		s.eventually(what+", and is not as before", func() bool {
			now, err := s.Host.Snapshot()
			must(t, err)
			return len(before.Differences(now)) == 0 && s.throughMif0()
		})
	}
}

// TestWithoutMif0TheDaemonEndsInOrder: it would carry nothing, and the host would
// ask a resolver that is not there any more.
func TestWithoutMif0TheDaemonEndsInOrder(t *testing.T) {
	for what, damage := range map[string][]string{
		"it is deleted": {"link", "del", "mif0"},
		"it is moved":   {"link", "set", "mif0", "netns", ""},
	} {
		s := newSite(t, "")
		if len(damage) == 5 {
			must(t, s.Core.Do(func() error { damage[4] = strconv.Itoa(unix.Gettid()); return nil }))
		}
		s.ip(damage...)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.daemon.Wait(ctx); err == nil || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("%s: the daemon ends with %v, want exit 1", what, err)
		}
		if left, err := s.daemon.Leftovers(); err != nil || len(left) > 0 {
			t.Errorf("%s: %q are left, %v", what, left, err)
		}
	}
}

func TestReloadIsInForceWhenItReturns(t *testing.T) {
	s := newSite(t, "interface: {default_route: true}\n")
	for i, config := range []string{
		"interface: {default_route: false}\n", "interface: {default_route: true}\n",
		"interface: {default_route: false}\n", "interface: {default_route: true}\n",
	} {
		must(t, s.daemon.SetConfig(config))
		if exit := s.cli("reload"); exit.Code != 0 {
			t.Fatalf("reload: %v", exit)
		}
		if got, want := s.throughMif0(), i%2 == 1; got != want {
			t.Errorf("after a reload with %q mif0 draws: %v", config, got)
		}
	}
	must(t, s.daemon.SetConfig("rules: [{nam: x}]\n"))
	exit := s.cli("reload")
	if exit.Code != 2 || !strings.HasPrefix(exit.Stderr, "/run/mifvif.yaml:1:10: ") {
		t.Errorf("reload of an invalid file: %v, want exit 2 and its place", exit)
	}
	if !s.throughMif0() {
		t.Error("the old configuration is not in force any more")
	}
	must(t, s.daemon.SetConfig("interface: {mtu: 1400}\n"))
	if exit := s.cli("reload"); exit.Code != 1 || !strings.Contains(exit.Stderr, "restart it") {
		t.Errorf("reload of what cannot change: %v", exit)
	}
}

// TestASecondSignalEndsAtOnce sends two signals in the same moment: the second
// ends the process while the first one's undoing is under way.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	s := newSite(t, "")
	for range 5 {
		pid := s.daemon.Pid()
		must(t, syscall.Kill(pid, syscall.SIGSTOP))
		must(t, syscall.Kill(pid, syscall.SIGINT))
		must(t, syscall.Kill(pid, syscall.SIGTERM))
		must(t, syscall.Kill(pid, syscall.SIGCONT))
		if err := s.daemon.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("after two signals it ended with %v, want exit 1 at once", err)
		}
		if exit := s.cli("cleanup"); exit.Code != 0 {
			t.Fatalf("cleanup: %v", exit)
		}
		s.start("")
	}
}

func TestResolverThatCannotBePointedIsAWarning(t *testing.T) {
	s := newSite(t, "")
	if w := s.status().Warnings; len(w) > 0 {
		t.Errorf("a host in order has warnings: %q", w)
	}
	must(t, s.daemon.Stop(t.Context()))
	must(t, s.Host.Do(func() error {
		const file = "/etc/resolv.conf"
		if err := unix.Mount(file, file, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		return unix.Mount("", file, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}))
	s.start("")
	if w := strings.Join(s.status().Warnings, "; "); !strings.Contains(w, "resolver could not be pointed") {
		t.Errorf("with a read-only resolv.conf the warnings are %q", w)
	}
}

func TestExplainSaysWhatMif0DoesNotCarry(t *testing.T) {
	s := newSite(t, "")
	for target, code := range map[string]int{
		lab.Public4().String(): 0, lab.Public6().String(): 0, "www.example.net": 0,
		"127.0.0.1": 2, "::1": 2, "224.0.0.5": 2, "ff02::1": 2, "fe80::1": 2, "169.254.1.1": 2, "255.255.255.255": 2, "198.18.0.2": 2, "no target": 2,
	} {
		if exit := s.cli("explain", target); exit.Code != code {
			t.Errorf("explain %s: %v, want exit %d", target, exit, code)
		}
	}
}

// echo is a conversation with an echo peer.
type echo struct {
	t    *testing.T
	conn interface {
		Read([]byte) (int, error)
		Write([]byte) (int, error)
		SetReadDeadline(time.Time) error
	}
}

func (e *echo) hear() string {
	e.t.Helper()
	must(e.t, e.conn.SetReadDeadline(time.Now().Add(2*time.Second)))
	b := make([]byte, 500)
	n, _ := e.conn.Read(b)
	return string(b[:n])
}

func (e *echo) say() string {
	e.t.Helper()
	_, _ = e.conn.Write([]byte("hello\n"))
	return e.hear()
}
