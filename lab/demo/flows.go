package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"

	"github.com/miekg/dns"
)

const patience = 3 * time.Second

// flows sends one flow of every kind and says for each who carried it.
func (s *show) flows(ctx context.Context) {
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		for _, port := range []uint16{lab.PortEcho, 7002, 7003} {
			s.tcp(ctx, netip.AddrPortFrom(dst, port))
		}
	}
	s.udp(ctx, netip.AddrPortFrom(lab.Public4(), 7001))
	s.udp(ctx, netip.AddrPortFrom(lab.Public4(), 7002))
	s.ping(ctx)
	s.dns(ctx)
}

func (s *show) tcp(ctx context.Context, dst netip.AddrPort) {
	seen, err := s.seenTCP(ctx, dst)
	s.report(ctx, "tcp", dst, seen, err)
}

func (s *show) seenTCP(ctx context.Context, dst netip.AddrPort) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := s.Host.DialTCP(ctx, dst, lab.SocketOptions{})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	return bufio.NewReader(conn).ReadString('\n')
}

func (s *show) udp(ctx context.Context, dst netip.AddrPort) {
	conn, err := s.Host.DialUDP(dst, lab.SocketOptions{})
	if err != nil {
		s.report(ctx, "udp", dst, "", err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, 200)
	n := 0
	if _, err = conn.Write([]byte("hello")); err == nil {
		n, err = conn.Read(buf)
	}
	s.report(ctx, "udp", dst, string(buf[:n]), err)
}

// report prints one flow: whom the server saw, and what mifvif says about it.
func (s *show) report(ctx context.Context, proto string, dst netip.AddrPort, seen string, err error) {
	result := ""
	if src, network, ok := serve.ParseSeen(seen); ok {
		result = fmt.Sprintf("by %s as %v", network, src)
	} else if err != nil {
		result = "failed: " + lastPart(err)
	}
	s.say("  %-4s %-24v %-36s %s", proto, dst, result, s.why(ctx, proto, dst))
}

// lastPart is the innermost text of an error.
func lastPart(err error) string {
	parts := strings.Split(err.Error(), ": ")
	return parts[len(parts)-1]
}

// why asks mifvif to explain the decision for a flow.
func (s *show) why(ctx context.Context, proto string, dst netip.AddrPort) string {
	exit, err := s.daemon.CLI(ctx, "explain", dst.Addr().String(), "--port", fmt.Sprint(dst.Port()), "--proto", proto, "--json")
	if err != nil || exit.Stdout == "" {
		return "no explanation: " + strings.TrimSpace(exit.Stderr)
	}
	var answer struct {
		Decision *struct{ PvD, Rule, Reason string } `json:"decision"`
		Refusal  string                              `json:"refusal"`
		Rules    []struct{ Name, Effect string }     `json:"rules"`
	}
	if err := json.Unmarshal([]byte(exit.Stdout), &answer); err != nil {
		return "no explanation: " + err.Error()
	}
	rules := make([]string, 0, len(answer.Rules))
	for _, r := range answer.Rules {
		rules = append(rules, r.Name)
	}
	if answer.Decision == nil {
		return fmt.Sprintf("refused (rules %v): %s", rules, answer.Refusal)
	}
	if answer.Decision.Rule == "" {
		answer.Decision.Rule = "none"
	}
	return fmt.Sprintf("%s, rule %s: %s", answer.Decision.PvD, answer.Decision.Rule, answer.Decision.Reason)
}

func (s *show) ping(ctx context.Context) {
	if _, err := exec.LookPath("ping"); err != nil {
		s.say("  ping is not installed")
		return
	}
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		exit, err := s.Host.Exec(ctx, "ping", "-n", "-c", "1", "-W", "2", dst.String())
		result := "no answer"
		if err == nil && exit.Code == 0 {
			result = "answered"
		}
		s.say("  %-4s %-24v %-36s %s", "ping", dst, result, s.why(ctx, "icmp", netip.AddrPortFrom(dst, 0)))
	}
}

// dns asks the host's resolver who it is: every network's own answers with its
// name.
func (s *show) dns(ctx context.Context) {
	content, err := s.Host.ReadFile("/etc/resolv.conf")
	if err != nil {
		s.say("  dns: %v", err)
		return
	}
	config, err := dns.ClientConfigFromReader(strings.NewReader(string(content)))
	if err != nil || len(config.Servers) == 0 {
		s.say("  dns: no name server in %q", content)
		return
	}
	client := dns.Client{Timeout: patience}
	conn, err := s.Host.DialUDP(netip.AddrPortFrom(netip.MustParseAddr(config.Servers[0]), 53), lab.SocketOptions{})
	if err != nil {
		s.say("  dns: %v", err)
		return
	}
	defer conn.Close()
	query := new(dns.Msg).SetQuestion("whoami.example.net.", dns.TypeTXT)
	answer, _, err := client.ExchangeWithConnContext(ctx, query, &dns.Conn{Conn: conn})
	result := "no answer"
	if err == nil && len(answer.Answer) == 1 {
		result = "answered by the resolver of " + answer.Answer[0].(*dns.TXT).Txt[0]
	}
	s.say("  %-4s %-24s %s", "dns", "asked "+config.Servers[0], result)
}

// open starts a conversation that stays.
func (s *show) open(ctx context.Context, port uint16) (net.Conn, error) {
	conn, err := s.Host.DialTCP(ctx, netip.AddrPortFrom(lab.Public4(), port), lab.SocketOptions{})
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	line, err := readLine(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("greeting: %w", err)
	}
	_, network, _ := serve.ParseSeen(line)
	s.say("  opened to port %d by %s", port, network)
	return conn, nil
}

// readLine reads byte by byte: nothing after the line is taken.
func readLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		if line = append(line, b[0]); b[0] == '\n' {
			return string(line), nil
		}
	}
}

// still says whether a conversation goes on.
func still(conn net.Conn) string {
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("are you there?\n")); err != nil {
		return "broken: " + lastPart(err)
	}
	if _, err := readLine(conn); err != nil {
		return "broken: " + lastPart(err)
	}
	return "goes on"
}

// status prints the daemon's own screen.
func (s *show) status(ctx context.Context) error {
	exit, err := s.daemon.CLI(ctx, "status")
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("mifvif status: %v", exit)
	}
	s.say("\n  mifvif status:")
	for line := range strings.Lines(exit.Stdout) {
		s.say("    %s", strings.TrimRight(line, "\n"))
	}
	return nil
}
