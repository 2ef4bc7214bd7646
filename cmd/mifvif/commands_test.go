package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"mifvif/control"
	"mifvif/pvd"
	"mifvif/relay"
)

// TestCommandsAreBounded for each user and for all, and numbers go round.
func TestCommandsAreBounded(t *testing.T) {
	var c commands
	var all []*command
	for uid := range uint32(10) {
		got := 0
		for range maxCommandsPerUser + 1 {
			one, err := c.take(uid, "e1")
			if errors.Is(err, errCommands) {
				break
			}
			got++
			all = append(all, one)
		}
		if want := max(0, min(maxCommandsPerUser, maxCommands-maxCommandsPerUser*int(uid))); got != want {
			t.Errorf("user %d got %d places, want %d", uid, got, want)
		}
	}
	if turned := c.turned.Load(); len(all) != maxCommands || turned != 10 {
		t.Errorf("%d places given and %d users turned away, want %d and 10", len(all), turned, maxCommands)
	}
	for _, one := range all {
		c.leave(one)
	}
	seen := make(map[byte]bool)
	for range relay.Commands - maxCommands {
		one, err := c.take(1, "e1")
		must(t, err)
		if seen[one.number] || one.number == 0 || one.number <= maxCommands {
			t.Fatalf("number %d is used again before all others", one.number)
		}
		seen[one.number] = true
		c.leave(one)
	}
	if len(c.perUser) != 0 {
		t.Errorf("users are remembered without commands: %v", c.perUser)
	}
}

func TestResolvConfNamesOurResolverAndTheDomainsSearchList(t *testing.T) {
	servers := []netip.Addr{netip.MustParseAddr("198.18.0.2"), netip.MustParseAddr("2001:2::2")}
	got := resolvConf(servers, &pvd.Domain{Search: []pvd.Zone{{Name: "corp.example"}, {Name: "b.example"}}})
	_, got, _ = strings.Cut(got, "\n")
	if want := "nameserver 198.18.0.2\nnameserver 2001:2::2\nsearch corp.example b.example\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := resolvConf(servers, nil); strings.Contains(got, "search") {
		t.Errorf("without a domain: %q", got)
	}
}

// connect asks for a command as a client would and sends nothing yet.
func (s *site) connect(domain string) (c *control.Command, err error) {
	s.t.Helper()
	doing := s.Host.Do(func() error {
		c, err = control.Dial(s.daemon.Socket(), true).Command(context.Background(), domain)
		return nil
	})
	must(s.t, doing)
	return c, err
}

// TestHostileClientsGetNothing: who sends no command, a bad one, or floods with
// signals; places are given back.
func TestHostileClientsGetNothing(t *testing.T) {
	s := newSite(t, byRule)
	s.in("e2", "true")
	files, err := s.daemon.Files()
	must(t, err)
	for _, what := range []string{"", "x", "\x00\x00\x00\x02{}", strings.Repeat("\xff", 1<<16)} {
		c, err := s.connect("e2")
		must(t, err)
		_, _ = c.Conn.Write([]byte(what)) // it may be sent away in the middle
		must(t, c.Conn.CloseWrite())
		if w, err := c.Hear(); err == nil && (w.Error == "" || w.PID != 0) {
			t.Errorf("%.10q was answered with %+v", what, w)
		}
		c.Close()
	}
	var held []*control.Command
	for range maxCommandsPerUser {
		c, err := s.connect("e2")
		must(t, err)
		held = append(held, c)
	}
	if _, err := s.connect("e2"); err == nil || !strings.Contains(err.Error(), "enough commands") {
		t.Errorf("one command too many: %v", err)
	}
	if n := s.status().Drops["commands_refused"]; n != 1 {
		t.Errorf("%d commands were counted as refused, want 1", n)
	}
	for _, c := range held {
		c.Close()
	}
	s.eventually("places are given back", func() bool { return s.in("e2", "true").Code == 0 })
	s.eventually("the daemon has closed all files", func() bool {
		now, err := s.daemon.Files()
		return err == nil && now <= files
	})
}
