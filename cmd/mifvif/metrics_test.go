package main

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/relay"
)

// TestCountersOfScrapesGrow although a flow that ends is missed for a moment.
func TestCountersOfScrapesGrow(t *testing.T) {
	var c carried
	for _, s := range []struct{ now, want relay.Carried }{
		{relay.Carried{Tx: 10, Rx: 20}, relay.Carried{Tx: 10, Rx: 20}},
		{relay.Carried{Tx: 4, Rx: 25}, relay.Carried{Tx: 10, Rx: 25}},
		{relay.Carried{Tx: 12, Rx: 25}, relay.Carried{Tx: 12, Rx: 25}},
	} {
		got := c.grown(map[string]relay.Carried{"fiber": s.now})
		if diff := cmp.Diff(map[string]relay.Carried{"fiber": s.want}, got); diff != "" {
			t.Errorf("%+v: %s", s.now, diff)
		}
	}
}

// TestMetricsAreScraped: curl has them from the socket and from loopback, they tell
// of what was carried, and a name that was made to lead there is turned away.
func TestMetricsAreScraped(t *testing.T) {
	labtest.Need(t, "curl")
	s := newSite(t, "control: {web: \"127.0.0.1:6418\"}\n"+onlyE1)
	curl := func(args ...string) string {
		exit, err := s.Host.Exec(t.Context(), "curl", append([]string{"-sS", "--max-time", "5"}, args...)...)
		must(t, err)
		return exit.Stdout + exit.Stderr
	}
	if words := s.cli("__complete", "exec", "--pvd", ""); !strings.Contains(words.Stdout, "e1\tonline on e1\n") {
		t.Errorf("the shell completes %v", words)
	}
	c, err := s.Host.DialTCP(t.Context(), netip.AddrPortFrom(lab.Public4(), lab.PortEcho), lab.SocketOptions{})
	must(t, err)
	defer c.Close()
	if _, err := c.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--unix-socket", s.daemon.Socket(), "http://mifvif/metrics"}, {"http://127.0.0.1:6418/metrics"}, {"http://localhost:6418/metrics"},
	} {
		text := curl(args...)
		for _, want := range []string{
			`mifvif_pvd_up{interface="e1",pvd="e1"} 1`, `mifvif_flows{proto="tcp",pvd="e1"} 1`, `mifvif_tx_bytes_total{pvd="e1"} [1-9]`,
			`mifvif_flows{proto="udp",pvd="e2"} 0`, `mifvif_drops_total{reason="martian"} \d`,
		} {
			if !regexp.MustCompile(`(?m)^` + want).MatchString(text) {
				t.Errorf("curl %v: no %s in\n%s", args, want, text)
			}
		}
	}
	for want, args := range map[string][]string{
		"loopback address or as localhost": {"-H", "Host: evil.example.com", "http://127.0.0.1:6418/metrics"},
		"only GET":                         {"-d", "x", "http://127.0.0.1:6418/metrics"},
		"404":                              {"http://127.0.0.1:6418/v1/status"},
	} {
		if text := curl(args...); !strings.Contains(text, want) {
			t.Errorf("curl %v: %s", args, text)
		}
	}
}
