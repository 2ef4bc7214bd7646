package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// stuckChecks show what apps and servers that take nothing do to everybody else.
func stuckChecks() []Scenario {
	return []Scenario{
		{ID: "stuck", Title: "1,000 connections and a socket that nobody reads from cost bounded memory, and others nothing", Config: byPort, Run: stuck},
	}
}

const (
	stuckFlows  = 500 // each way
	stuckMemory = 256 << 20
	portDeaf    = 9998 // where a server of the scenario accepts and never reads
)

// A pile is the connections that stand still.
type pile struct {
	mu    sync.Mutex
	conns []net.Conn
	all   sync.WaitGroup
}

func (p *pile) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
}

func (p *pile) close() {
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
}

func stuck(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	before, err := e.Daemon.RSS()
	if err != nil {
		return err
	}
	still := &pile{}
	defer still.close()
	if err := e.neverRead(ctx, still); err != nil {
		return err
	}
	if err := e.neverReadThere(ctx, still); err != nil {
		return err
	}
	if err := e.neverReadDatagrams(); err != nil {
		return err
	}
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	rss, err := e.Daemon.RSS()
	if err != nil {
		return err
	}
	if err := e.download(ctx); err != nil {
		return fmt.Errorf("beside what is stuck: %w", err)
	}
	if err := e.Carried(ctx, "n1", public4(onlyE1), lab.SocketOptions{}); err != nil {
		return fmt.Errorf("beside what is stuck: %w", err)
	}
	if grown := rss - before; grown > stuckMemory {
		return fmt.Errorf("%d stuck flows cost %d MiB, at most %d", 2*stuckFlows, grown>>20, stuckMemory>>20)
	}
	return nil
}

// download takes 20 MB, for which there is time enough for 16 Mbit/s.
func (e *Env) download(ctx context.Context) error {
	const size = 20_000_000
	c, err := e.App.DialTCP(ctx, public4(lab.PortSource), lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "%d\n", size)
	_, err = io.CopyN(&serve.Pattern{}, c, size)
	return err
}

// neverReadDatagrams has an echo peer answer a socket that reads nothing.
func (e *Env) neverReadDatagrams() error {
	c, err := e.App.DialUDP(public4(lab.PortEcho), lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	for range 20_000 {
		if _, err := c.Write(make([]byte, 1200)); err != nil {
			return fmt.Errorf("a socket that reads nothing: %w", err)
		}
	}
	return nil
}

// neverRead has servers send as fast as they can to apps that read nothing.
func (e *Env) neverRead(ctx context.Context, still *pile) error {
	for i := range stuckFlows {
		c, err := e.App.DialTCP(ctx, public4(lab.PortSourceFrom+uint16(i%16)), lab.SocketOptions{})
		if err != nil {
			return err
		}
		still.keep(c)
		fmt.Fprintf(c, "%d\n", 1<<40)
	}
	return nil
}

// neverReadThere has apps send as fast as they can to a server that reads nothing.
func (e *Env) neverReadThere(ctx context.Context, still *pile) error {
	l, err := e.Core.ListenTCP(netip.AddrPortFrom(lab.Public4(), portDeaf))
	if err != nil {
		return err
	}
	still.keep(closer{l})
	still.all.Go(func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			still.keep(c)
		}
	})
	for range stuckFlows {
		c, err := e.App.DialTCP(ctx, public4(portDeaf), lab.SocketOptions{})
		if err != nil {
			return err
		}
		still.keep(c)
		still.all.Go(func() { _, _ = io.Copy(c, zeros{}) })
	}
	return nil
}

// closer is a listener among connections.
type closer struct{ net.Listener }

func (closer) Read([]byte) (int, error)         { return 0, errors.ErrUnsupported }
func (closer) Write([]byte) (int, error)        { return 0, errors.ErrUnsupported }
func (c closer) LocalAddr() net.Addr            { return c.Addr() }
func (c closer) RemoteAddr() net.Addr           { return c.Addr() }
func (closer) SetDeadline(time.Time) error      { return nil }
func (closer) SetReadDeadline(time.Time) error  { return nil }
func (closer) SetWriteDeadline(time.Time) error { return nil }

// zeros is an endless stream that costs its reader nothing.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
