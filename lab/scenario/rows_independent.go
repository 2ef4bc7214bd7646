package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"mifvif/lab"

	"golang.org/x/sys/unix"
)

// talks opens count conversations with peers, all of them by one network.
func (e *Env) talks(ctx context.Context, count int, network string, dst ...netip.AddrPort) ([]*Talk, error) {
	return e.talksWith(ctx, lab.SocketOptions{}, count, network, dst...)
}

func (e *Env) talksWith(ctx context.Context, opt lab.SocketOptions, count int, network string, dst ...netip.AddrPort) ([]*Talk, error) {
	var open []*Talk
	for i := range count {
		t, err := e.Talk(ctx, dst[i%len(dst)], opt)
		if err == nil {
			open = append(open, t)
			if t.Network != network {
				err = fmt.Errorf("%v was carried by %q, want %q", dst[i%len(dst)], t.Network, network)
			}
		}
		if err != nil {
			closeAll(open)
			return nil, err
		}
	}
	return open, nil
}

func closeAll(all []*Talk) {
	for _, t := range all {
		t.Close()
	}
}

// sayUntil has all conversations talk until stop is closed and returns the
// errors: what was lost, changed or not answered.
func sayUntil[T interface{ Say() error }](all []T, stop <-chan struct{}) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, t := range all {
		wg.Go(func() {
			for errs[i] == nil {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					errs[i] = t.Say()
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func independent(ctx context.Context, e *Env) error {
	const flows = 100
	first, err := e.talks(ctx, flows, "n1", bothFamilies(onlyE1)...)
	if err != nil {
		return err
	}
	defer closeAll(first)
	second, err := e.talks(ctx, flows, "n2", bothFamilies(onlyE2)...)
	if err != nil {
		return err
	}
	defer closeAll(second)
	stop, heard := make(chan struct{}), make(chan error, 1)
	go func() { heard <- sayUntil(second, stop) }()
	time.Sleep(200 * time.Millisecond)
	err = e.LinkDown("n1")
	for _, t := range first {
		if err == nil {
			err = t.Ends(endWithin)
		}
	}
	time.Sleep(500 * time.Millisecond)
	close(stop)
	if lost := <-heard; lost != nil {
		err = errors.Join(err, fmt.Errorf("flows of n2 were harmed: %w", firstLine(lost)))
	}
	return err
}

// firstLine shortens an error that repeats itself.
func firstLine(err error) error {
	line, rest, more := strings.Cut(err.Error(), "\n")
	if !more {
		return err
	}
	return fmt.Errorf("%s (and %d more)", line, strings.Count(rest, "\n")+1)
}

func noForwarding(ctx context.Context, e *Env) error {
	// Router n1 sends packets for n2 and for the core through the host.
	router := e.Node("n1")
	if err := router.AddRoute(
		lab.Route{To: e.Network("n2").Own4(), Via: e.Network("n1").Host4(), Dev: "lan"},
		lab.Route{To: e.Network("n2").Own6(), Via: e.Network("n1").Host6(), Dev: "lan"},
	); err != nil {
		return err
	}
	for _, key := range forwarding() {
		if value, err := e.Host.Sysctl(key); err != nil || value != "0" {
			return fmt.Errorf("%s is %s now: %w", key, value, errors.Join(err, errors.New("it must stay 0")))
		}
	}
	if err := e.notForwarded(router); err != nil {
		return err
	}
	// Container engines make every host a router.
	if err := e.setForwarding("1"); err != nil {
		return err
	}
	if err := e.notForwarded(router); err != nil {
		return fmt.Errorf("when others let the host forward: %w", err)
	}
	if err := e.setForwarding("0"); err != nil {
		return err
	}
	return spoof(ctx, e)
}

func forwarding() []string {
	return []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"}
}

func (e *Env) setForwarding(value string) error {
	for _, key := range forwarding() {
		if err := e.Host.SetSysctl(key, value); err != nil {
			return err
		}
	}
	return nil
}

// notForwarded has a router of n1 send packets for n2 through the host.
func (e *Env) notForwarded(router *lab.Node) error {
	capture, err := e.Host.Capture("e2", ports(onlyE2, lab.PortEcho))
	if err != nil {
		return err
	}
	defer capture.Close()
	for _, dst := range []netip.Addr{e.Network("n2").Gateway4(), e.Network("n2").Resolver6()} {
		conn, err := router.DialUDP(netip.AddrPortFrom(dst, onlyE2), lab.SocketOptions{})
		if err != nil {
			return err
		}
		for range 5 {
			_, _ = conn.Write([]byte("forward me")) // refused is right
		}
		conn.Close()
	}
	time.Sleep(300 * time.Millisecond)
	return nothing(capture, "the host forwarded between its uplinks")
}

// spoof has a program of the host send packets with sources that are not the
// host's; none may reach a network, not even under another source.
func spoof(ctx context.Context, e *Env) error {
	foreign := netip.MustParseAddr("10.2.0.77")
	var seen []*lab.Capture
	for _, link := range []string{"e1", "e2"} {
		c, err := e.Host.Capture(link, func(r lab.Record) bool {
			return r.Src == foreign || r.Proto == 17 && r.Dst == lab.Public4() && r.DstPort == lab.PortEcho
		})
		if err != nil {
			return err
		}
		seen = append(seen, c)
	}
	if err := e.Host.Do(func() error { return sendRaw(foreign, lab.Public4()) }); err != nil {
		return fmt.Errorf("send a foreign source: %w", err)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(300 * time.Millisecond):
	}
	for _, c := range seen {
		if err := nothing(c, "a source that is not the host's left it"); err != nil {
			return err
		}
	}
	return nil
}

// sendRaw sends a few UDP packets with any source; the kernel fills in the rest
// of the header.
func sendRaw(src, dst netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	packet := make([]byte, 32)
	packet[0], packet[8], packet[9] = 0x45, 64, unix.IPPROTO_UDP
	copy(packet[12:], src.AsSlice())
	copy(packet[16:], dst.AsSlice())
	packet[21], packet[23], packet[25] = 99, lab.PortEcho, 12 // source port, port, length
	for range 5 {
		if err := unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: dst.As4()}); err != nil {
			return err
		}
	}
	return nil
}
