package lab

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// WireConfig says how a wire behaves, in each direction alike.
type WireConfig struct {
	Delay time.Duration // one way
	Loss  float64       // share of packets that vanish, 0..1
	Rate  int64         // bits per second, 0: no limit
	Queue int           // packets on the way, 0: 8192; more are dropped
	Seed  uint64        // of the losses; the same seed loses the same packets
	// PointToPoint makes the ends interfaces without link layer, as tunnels and
	// ppp are: no ARP, no MAC address.
	PointToPoint bool
	MTU          int // 0: 1500
}

// A Wire is a link that this process carries itself, because it must delay,
// lose or pace packets and the kernel may not be able to (no netem). Both ends
// are TAP or TUN interfaces. Its behaviour may be changed while it works; all
// methods are safe for concurrent use.
type Wire struct {
	delay atomic.Int64
	loss  atomic.Uint64 // of 1<<32
	rate  atomic.Int64

	lanes [2]*lane
	done  sync.WaitGroup
}

// WireStats counts packets over both directions of a wire.
type WireStats struct{ Carried, Lost, Overflowed uint64 }

// Wire joins two nodes by a wire. Both ends are up.
func (w *World) Wire(a, b End, config WireConfig) (*Wire, error) {
	fileA, err := a.Node.openTap(a.Link, config)
	if err != nil {
		return nil, err
	}
	fileB, err := b.Node.openTap(b.Link, config)
	if err != nil {
		return nil, errors.Join(err, fileA.Close())
	}
	wire := &Wire{}
	wire.SetDelay(config.Delay)
	wire.SetLoss(config.Loss)
	wire.SetRate(config.Rate)
	wire.lanes = [2]*lane{newLane(wire, fileA, fileB, config, 0), newLane(wire, fileB, fileA, config, 1)}
	for _, l := range wire.lanes {
		wire.done.Add(2)
		go l.receive()
		go l.deliver()
	}
	w.onClose(func() error {
		err := errors.Join(fileA.Close(), fileB.Close())
		wire.done.Wait()
		return err
	})
	return wire, nil
}

// SetDelay changes the one-way delay; packets on the way keep theirs.
func (w *Wire) SetDelay(d time.Duration) { w.delay.Store(int64(d)) }

// SetLoss changes the share of packets that vanish: 1 is a silent link.
func (w *Wire) SetLoss(share float64) { w.loss.Store(uint64(share * (1 << 32))) }

// SetRate changes the rate in bits per second; 0 lifts the limit.
func (w *Wire) SetRate(bits int64) { w.rate.Store(bits) }

// SetCarrier plugs the wire in or out: without carrier both interfaces stay up
// but say that nothing is there (IFF_LOWER_UP).
func (w *Wire) SetCarrier(on bool) error {
	value := 0
	if on {
		value = 1
	}
	for _, l := range w.lanes {
		raw, err := l.from.SyscallConn()
		if err != nil {
			return fmt.Errorf("set carrier: %w", err)
		}
		var failed error
		err = raw.Control(func(fd uintptr) { failed = unix.IoctlSetPointerInt(int(fd), unix.TUNSETCARRIER, value) })
		if err := errors.Join(err, failed); err != nil {
			return fmt.Errorf("set carrier: %w", err)
		}
	}
	return nil
}

// Stats returns the counters so far.
func (w *Wire) Stats() WireStats {
	var s WireStats
	for _, l := range w.lanes {
		s.Carried += l.carried.Load()
		s.Lost += l.lost.Load()
		s.Overflowed += l.overflowed.Load()
	}
	return s
}

// openTap makes a TAP or TUN interface in the node and takes it up.
func (n *Node) openTap(name string, config WireConfig) (*os.File, error) {
	var file *os.File
	err := n.Do(func() (err error) {
		file, err = tap(name, config.PointToPoint)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a wire's end %s/%s: %w", n.Name, name, err)
	}
	if config.MTU != 0 {
		err = n.SetMTU(name, config.MTU)
	}
	if err := errors.Join(err, n.LinkUp(name)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func tap(name string, pointToPoint bool) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	flags := uint16(unix.IFF_NO_PI)
	if pointToPoint {
		flags |= unix.IFF_TUN
	} else {
		flags |= unix.IFF_TAP
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
