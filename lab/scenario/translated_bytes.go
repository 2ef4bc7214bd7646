package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// bulk sends uploads by n1.
const bulk = `  - {name: bulk, match: {port: 9}, require: [e1]}
`

// summed has every link compute its checksums: without that, a wrong one is never
// seen.
func summed(e *Env) error {
	errs := []error{e.Host.SumInSoftware(lab.LANLink), e.Client.SumInSoftware("eth0")}
	for _, n := range e.Layout.Networks {
		router := e.Node(n.Name)
		errs = append(errs, e.Host.SumInSoftware(n.Link), router.SumInSoftware("lan"), router.SumInSoftware("core"), e.Core.SumInSoftware(n.Name))
	}
	return errors.Join(errs...)
}

func bytesRight(ctx context.Context, e *Env) error {
	apps := []*lab.Node{e.Host, e.Client}
	for _, e.App = range apps {
		for _, dst := range bothFamilies(onlyE1) {
			if err := errors.Join(e.echoed(ctx, dst), e.datagramsEchoed(ctx, dst)); err != nil {
				return fmt.Errorf("of %s: %w", e.App.Name, err)
			}
		}
	}
	const smaller = 1300 // for one end of a link alone: nobody's SYN tells
	if err := e.downloaded(ctx, smaller); err != nil {
		return fmt.Errorf("of a client behind a smaller link: %w", err)
	}
	if err := e.Node("n1").SetMTU("core", smaller); err != nil {
		return err
	}
	for _, e.App = range apps {
		for _, dst := range bothFamilies(lab.PortCount) {
			if err := e.uploaded(ctx, dst, smaller); err != nil {
				return fmt.Errorf("of %s behind a smaller link: %w", e.App.Name, err)
			}
		}
	}
	for _, n := range []*lab.Node{e.Host, e.Core, e.Client} {
		if err := noWrongSums(n); err != nil {
			return err
		}
	}
	return nil
}

// echoed sends and gets back at the same time.
func (e *Env) echoed(ctx context.Context, dst netip.AddrPort) error {
	const size = 4 << 20
	t, err := e.talkOn(ctx, "offloaded", "n1", dst)
	if err != nil {
		return err
	}
	defer t.Close()
	_ = t.conn.SetDeadline(time.Now().Add(2 * answerWithin))
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyN(t.conn, &serve.Pattern{}, size)
		sent <- err
	}()
	got, err := io.CopyN(&serve.Pattern{}, t.in, size)
	if err != nil {
		t.Close() // ends what is still being sent
	}
	if err = errors.Join(err, <-sent); err != nil {
		return fmt.Errorf("%d of %d bytes came back from %v: %w", got, size, dst, err)
	}
	return nil
}

// datagramsEchoed has datagrams of all kinds of lengths come back, of which the kernel
// translates all but the first.
func (e *Env) datagramsEchoed(ctx context.Context, dst netip.AddrPort) error {
	const longest = 1400
	conn, err := e.App.DialUDP(dst, lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerWithin))
	want, buf := make([]byte, longest), make([]byte, 2*longest)
	pattern := &serve.Pattern{}
	for n := 1; n < longest; n += 7 {
		_, _ = pattern.Read(want[:n])
		if _, err := conn.Write(want[:n]); err != nil {
			return err
		}
		got, err := conn.Read(buf)
		if err != nil {
			return fmt.Errorf("a datagram of %d bytes to %v: %w", n, dst, err)
		}
		if !bytes.HasSuffix(buf[:got], append([]byte{' '}, want[:n]...)) {
			return fmt.Errorf("of a datagram of %d bytes to %v came back %q", n, dst, buf[:got])
		}
	}
	return e.shortened(ctx, conn, true)
}

// uploaded sends to a server behind a smaller link, whose router says so by ICMP:
// once the app's kernel has been told, its segments fit.
func (e *Env) uploaded(ctx context.Context, dst netip.AddrPort, mtu int) error {
	const size = 1 << 20
	proto, tooBig := uint8(1), uint16(3)<<8|4
	if dst.Addr().Is6() {
		proto, tooBig = 58, uint16(2)<<8
	}
	told, err := e.Host.Capture("e1", func(r lab.Record) bool { return !r.Out && r.Proto == proto && r.SrcPort == tooBig })
	if err != nil {
		return err
	}
	defer told.Close()
	conn, err := e.App.DialTCP(ctx, dst, lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer conn.Close()
	t := &Talk{conn: conn, Network: "n1"}
	l, err := e.listing(ctx, t)
	if err != nil {
		return err
	}
	if l == nil || l.Path != "offloaded" {
		return fmt.Errorf("the upload is listed as %+v", l)
	}
	_ = conn.SetDeadline(time.Now().Add(2 * answerWithin))
	if _, err := io.CopyN(conn, &serve.Pattern{}, size); err != nil {
		return err
	}
	answer, err := io.ReadAll(io.MultiReader(closeWrite{conn}, conn))
	if err != nil || string(answer) != fmt.Sprintf("GOT=%d\n", size) {
		return fmt.Errorf("after %d bytes the server said %q, %w", size, answer, err)
	}
	if n := told.Matched(); n == 0 || n > 20 {
		return fmt.Errorf("the router said %d times that packets are too big for %d bytes, want once or a few times", n, mtu)
	}
	return nil
}

// downloaded takes what a server sends, whose segments are too big for the link
// between host and client: the host's own kernel says so, and the server has to hear.
func (e *Env) downloaded(ctx context.Context, mtu int) error {
	const size = 1 << 20
	if err := e.Host.SetMTU(lab.LANLink, mtu); err != nil {
		return err
	}
	for _, dst := range bothFamilies(firstE2Source) { // n1's server is to know nothing
		conn, err := e.Client.DialTCP(ctx, dst, lab.SocketOptions{})
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(answerWithin))
		fmt.Fprintf(conn, "%d\n", size)
		if got, err := io.CopyN(&serve.Pattern{}, conn, size); err != nil {
			return fmt.Errorf("%d of %d bytes came from %v: %w", got, size, dst, err)
		}
	}
	return e.Host.SetMTU(lab.LANLink, 1500)
}

// closeWrite is an empty Reader that ends a connection's own direction.
type closeWrite struct {
	conn interface{ CloseWrite() error }
}

func (c closeWrite) Read([]byte) (int, error) {
	if err := c.conn.CloseWrite(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// noWrongSums wants no packet with a wrong checksum to have come to a node.
func noWrongSums(n *lab.Node) error {
	var counters []string // names and values
	for _, file := range []string{"snmp", "snmp6"} {
		content, err := n.ReadFile("/proc/thread-self/net/" + file)
		if err != nil {
			return err
		}
		counters = append(counters, byName(string(content))...)
	}
	for _, want := range []string{"Tcp:InCsumErrors 0", "Udp:InCsumErrors 0", "Udp6InCsumErrors 0"} { // TCP has one for both
		if !slices.Contains(counters, want) {
			wrong := slices.DeleteFunc(counters, func(c string) bool { return !strings.Contains(c, "InCsumErrors") })
			return fmt.Errorf("%s has not %s: %v", n.Name, want, wrong)
		}
	}
	return nil
}

// byName returns counters as "Tcp:InSegs 7" and "Udp6InErrors 0". The kernel has those
// of IPv4 in two lines of a protocol: names, values.
func byName(content string) (all []string) {
	var names []string
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		switch {
		case !strings.HasSuffix(fields[0], ":"):
			all = append(all, strings.Join(fields, " "))
		case names == nil:
			names = fields
		default:
			for i, value := range fields[1:] {
				all = append(all, names[0]+names[i+1]+" "+value)
			}
			names = nil
		}
	}
	return all
}
